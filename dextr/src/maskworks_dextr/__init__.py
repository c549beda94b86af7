"""The DEXTR commands: options, adapter, entry points."""
