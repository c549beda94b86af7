"""Image files in."""
