"""The learning rates of the studies: what is used in each epoch."""


def quarter_rate(lr: float, epoch: int, epochs: int) -> float:
    """CIFAR's rate in an epoch (from 0): a tenth after each of the first three quarters.

    The original counts with epochs // 4, so fewer than four epochs have one rate throughout.
    """
    quarter = epochs // 4
    falls = min(3, epoch // quarter) if quarter else 0
    return lr / 10**falls


def step_rate(lr: float, epoch: int, every: int = 30) -> float:
    """Tiny ImageNet's and ImageNet's rate: a tenth after every so many epochs."""
    return lr * 0.1 ** (epoch // every)
