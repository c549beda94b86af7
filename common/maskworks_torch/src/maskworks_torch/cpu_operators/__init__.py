"""What makes inference on CPUs fast, whatever the model: operators in plain PyTorch, threads, memory."""
