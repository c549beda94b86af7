"""The Segment Anything commands: options, adapter, entry points."""
