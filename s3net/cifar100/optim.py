"""The optimiser's rates under the file name of the original."""

from common.runs.schedules import quarters as quarter_rate

__all__ = ["quarter_rate"]
