"""The ReLU rule and its ImageNet program."""
