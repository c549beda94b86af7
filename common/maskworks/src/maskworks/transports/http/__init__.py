"""Jobs from HTTP requests."""
