"""Jobs from Redis channels and streams."""
