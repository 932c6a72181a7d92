"""The eight comparison models."""
