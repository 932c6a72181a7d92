"""Data sets from names and files, and batches of them for either framework."""
