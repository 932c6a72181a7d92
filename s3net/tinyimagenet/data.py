"""What the recipe of Tiny ImageNet says of its data."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DATASETS = ("tiny_imagenet", "cifar10")
