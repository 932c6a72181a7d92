"""Tiny ImageNet: S3 and its rivals."""
