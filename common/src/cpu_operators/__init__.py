"""Operators for inference on CPUs, in plain PyTorch: the model libraries share them; they know no model."""
