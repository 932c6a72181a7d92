"""A run: its loop, its directory and everything that is kept in it."""
