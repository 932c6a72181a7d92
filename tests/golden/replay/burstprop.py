"""Replays the Burstprop traces (burstprop, 11).

{fc,mnistconv,cifarconv}_burst_*   burstprop, every quantity of the first step and all weights
*_bp, *_np_*                       backprop; node perturbation with the noise that was recorded
imagenet_*                         `_burstprop_imagenet`
fullsize_checksums                 nets of the published sizes, tag by tag, statistics only
"""

import re

from tests.golden.trace import Trace

TORCH = ("torch",)


def implementations(stem: str) -> dict[str, tuple[str, ...]]:
    """See `tests.golden.cases`."""
    known = re.match(r"(fc|mnistconv|cifarconv)_(burst_|bp|np_)|imagenet_|fullsize_checksums", stem)
    return {"": TORCH} if known else {}


def replay(trace: Trace, implementation: str) -> None:
    """AssertionError where a number differs."""
    from tests.golden.replay import _burstprop_full, _burstprop_small

    if trace.stem.startswith(("imagenet_", "fullsize")):
        from tests.golden.replay import _burstprop_imagenet

        if trace.stem.startswith("fullsize"):
            _burstprop_full.replay_full_size(trace)
            _burstprop_imagenet.replay_full_size(trace)
        else:
            _burstprop_imagenet.replay_steps(trace)
    elif "_burst_" in trace.stem:
        _burstprop_small.replay_burstprop(trace)
    elif "_np_" in trace.stem:
        _burstprop_small.replay_perturbation(trace)
    else:
        _burstprop_small.replay_backprop(trace)
