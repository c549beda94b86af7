"""Long runs of real workers under mixed load: `make soak`."""
