"""Sampling from teacher and student: Ray Data pipelines over a pool of vLLM engines."""
