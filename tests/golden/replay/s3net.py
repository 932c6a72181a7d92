"""Replays the S3Net traces (s3net, 11).

cifar_s3_*, tiny_s3_*, imagenet_s3_*   small nets: forward, backward and four steps of SGD
s3_fullsize_checksums                  the published sizes, weights by formula, statistics only
comparison_models_*                    Tiny ImageNet's other networks, the same; RandWire's graphs
lr_schedules                           the learning rate of every epoch
fullgrad_*                             saliency, segmentation, Dice
ntk_*                                  kernels and predictions, by each of our routes
"""

import re

from tests.golden.trace import Trace

TORCH = ("torch",)
SMALL = r"(cifar|tiny|imagenet)_s3_"


def implementations(stem: str) -> dict[str, tuple[str, ...]]:
    """See `tests.golden.cases`."""
    if stem == "lr_schedules":
        return {"": ()}
    if re.match(SMALL, stem) or stem.startswith(("s3_fullsize", "comparison", "fullgrad_")):
        return {"": TORCH}
    if stem.startswith("ntk_"):
        from tests.golden.replay._s3net_ntk import ROUTES

        return dict(ROUTES)
    return {}


def replay(trace: Trace, implementation: str) -> None:
    """AssertionError where a number differs."""
    from tests.golden.replay._s3net_comparison import replay_comparison_models
    from tests.golden.replay._s3net_fullgrad import replay_fullgrad
    from tests.golden.replay._s3net_networks import replay_full_sizes, replay_steps
    from tests.golden.replay._s3net_ntk import replay_kernels

    if trace.stem == "lr_schedules":
        replay_rates(trace)
    elif trace.stem.startswith("ntk_"):
        replay_kernels(trace, implementation)
    elif trace.stem.startswith("fullgrad_"):
        replay_fullgrad(trace)
    elif trace.stem.startswith("s3_fullsize"):
        replay_full_sizes(trace)
    elif trace.stem.startswith("comparison"):
        replay_comparison_models(trace)
    else:
        replay_steps(trace)


def replay_rates(trace: Trace) -> None:
    """Of the three classification studies; the first rate is in the key where it is not CIFAR's."""
    from common.runs.schedules import quarters, steps

    for key in trace:
        count = len(trace[key])
        first = re.search(r"_lr_(\d+)p(\d+)", key)
        lr = float(f"{first[1]}.{first[2]}") if first else 0.2 if key.startswith("cifar") else 0.1
        if key.startswith("cifar"):
            ours = [quarters(lr, epoch, count) for epoch in range(count)]
        else:
            ours = [steps(lr, epoch) for epoch in range(count)]
        trace.compare(key, ours, 1e-12)
