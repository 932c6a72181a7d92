"""CIFAR-100: S3 of the first study."""
