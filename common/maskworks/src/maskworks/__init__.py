"""Runs segmentation models as commands: wire formats, mask to contour, and the loops that feed a model.

This package knows no model. Importing it is cheap on purpose: nothing heavy is loaded before the flags are parsed.
"""

__version__ = "0.1.0"
