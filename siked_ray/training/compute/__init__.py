"""What a training step computes: plain torch, no Ray."""
