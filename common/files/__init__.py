"""Files read and written: whole or not at all, paths with `~`, seals, documents with a schema."""
