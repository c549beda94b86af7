"""`maskworks doctor`: whether this installation is right."""
