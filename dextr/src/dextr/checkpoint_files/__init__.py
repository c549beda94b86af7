"""Model files in: where they come from, and how they are read without running code from them."""
