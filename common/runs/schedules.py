"""Learning rates by epoch, of all papers. Epochs count from 0."""

import math


def cosine(lr: float, epoch: int, epochs: int) -> float:
    """Half a cosine from lr down to almost 0 in the last of so many epochs (Loshchilov and Hutter
    2017, without restarts; asap, 6)."""
    return lr / 2 * (1 + math.cos(math.pi * epoch / epochs))


def steps(lr: float, epoch: int, every: int = 30, factor: float = 0.1) -> float:
    """Times `factor` after every so many epochs: a tenth after 30 is ImageNet's of He et al. 2016
    (burstprop, 6.3; s3net), a half after 100 BrainProp's."""
    return lr * factor ** (epoch // every)


def quarters(lr: float, epoch: int, epochs: int) -> float:
    """A tenth after each of the first three quarters of so many epochs (s3net, CIFAR).

    The original counts with epochs // 4, so fewer than four epochs have one rate throughout.
    """
    quarter = epochs // 4
    falls = min(3, epoch // quarter) if quarter else 0
    return lr / 10**falls
