"""`segkit doctor`: whether this installation is right."""
