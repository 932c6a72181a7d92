"""Tiny ImageNet: S3 and the models that it is compared with."""
