"""ImageNet: S3 at its published sizes."""
