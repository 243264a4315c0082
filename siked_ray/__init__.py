"""siked-ray: self-guided iterative knowledge distillation (SIKeD, arXiv 2410.18574) on Ray."""

__version__ = "0.1.0"
