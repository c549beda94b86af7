"""The TensorMask commands: options, adapter, server, entry points."""
