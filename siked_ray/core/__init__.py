"""Pure Python records and decisions of the method: no Ray, torch, vLLM or files in here."""
