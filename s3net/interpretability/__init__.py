"""Saliency by FullGrad, thresholded maps and their overlap with the object."""

from typing import Any

__all__ = ["FullGrad"]  # `fullgrad` is a module here: the function is `rule.fullgrad`


def __getattr__(name: str) -> Any:  # torch only when it is asked for
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from s3net.interpretability import rule

    return getattr(rule, name)
