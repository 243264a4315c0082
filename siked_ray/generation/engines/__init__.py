"""Engines behind one interface: vLLM, and servers."""
