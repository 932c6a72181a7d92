"""The optimiser's rates under the file name of the original."""

from s3net.optim import quarter_rate

__all__ = ["quarter_rate"]
