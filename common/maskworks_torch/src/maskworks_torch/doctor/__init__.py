"""PyTorch's part of `maskworks doctor`: the device, and networks whose numbers are known."""
