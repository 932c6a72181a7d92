"""Replays the S3Net traces (section 11 of its specification).

cifar_s3_*, tiny_s3_*, imagenet_s3_*   small nets: forward, backward and four steps of SGD
s3_fullsize_checksums                  the published sizes, weights by formula, statistics only
fullgrad_*                             saliency, segmentation, Dice
ntk_*                                  kernels and predictions, by each of our routes
"""

import re

from tests.golden.trace import Trace

TORCH = ("torch",)
SMALL = r"(cifar|tiny|imagenet)_s3_"


def implementations(stem: str) -> dict[str, tuple[str, ...]]:
    """See `tests.golden.cases`."""
    if re.match(SMALL, stem) or stem.startswith(("s3_fullsize", "fullgrad_")):
        return {"": TORCH}
    if stem.startswith("ntk_"):
        from tests.golden.replay._s3net_ntk import ROUTES

        return dict(ROUTES)
    return {}


def replay(trace: Trace, implementation: str) -> None:
    """AssertionError where a number differs."""
    from tests.golden.replay._s3net_fullgrad import replay_fullgrad
    from tests.golden.replay._s3net_networks import replay_full_sizes, replay_steps
    from tests.golden.replay._s3net_ntk import replay_kernels

    if trace.stem.startswith("ntk_"):
        replay_kernels(trace, implementation)
    elif trace.stem.startswith("fullgrad_"):
        replay_fullgrad(trace)
    elif trace.stem.startswith("s3_fullsize"):
        replay_full_sizes(trace)
    else:
        replay_steps(trace)
