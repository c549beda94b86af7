"""What models in PyTorch share: devices and precision, operators for CPUs, checkpoints read without running code."""
