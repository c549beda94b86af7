"""The MMDetection commands: options, adapter, entry points."""
