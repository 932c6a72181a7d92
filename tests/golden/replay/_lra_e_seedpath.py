"""The trace of what the PyTorch programs draw from their seed: split, weights, first batches.

Its keys are `<data set>_<what>`; layers and batches are read from the keys.
"""

import re

import numpy as np

from tests.golden.replay._lra_e_full import statistics
from tests.golden.trace import Trace

SEED = 1234
INIT = {"mnist": "normal", "fmnist": "linear"}
SIZES = [784, 256, 256, 256, 256, 10]
EXACT = 1e-7  # weights are the same float32 numbers; their statistics are summed differently


def replay(trace: Trace) -> None:
    from lra_e.torch_seedpath import SeedPath

    seed = trace.integer("seed", SEED)
    sizes = trace.integers("layer_sizes") if "layer_sizes" in trace else SIZES
    for name, init in INIT.items():
        path = SeedPath(sizes, init=init, seed=seed)
        weights = {f"W{i}": w.numpy() for i, w in enumerate(path.W, start=1)}
        weights |= {f"E{i}": e.numpy() for i, e in enumerate(path.E, start=2)}
        for key in [key for key in trace if key.startswith(f"{name}_")]:
            what = key.removeprefix(f"{name}_")
            compare(trace, key, what, path, weights)


def compare(trace: Trace, key: str, what: str, path, weights: dict[str, np.ndarray]) -> None:
    """One recorded array; a key that is none of these stays unread."""
    if match := re.fullmatch(r"(train|val)_indices_first(\d+)", what):
        indices = path.train_indices if match[1] == "train" else path.val_indices
        trace.compare(key, indices[: int(match[2])], 0)
    elif match := re.fullmatch(r"epoch(\d+)_batch(\d+)_indices", what):
        size = trace.shape(key)[0]
        start = (int(match[2]) - 1) * size
        order = path.epoch_order(int(match[1]))[start : start + size]
        trace.compare(key, path.train_indices[order], 0)
    elif match := re.fullmatch(r"([WE]\d+)_stats", what):
        # The programs store W (out,in) and E (in,out), the transposes of ours.
        stored = weights[match[1]].T
        scale = float(np.abs(stored).max())
        ours = statistics(stored)
        trace.compare_each(key, ours, EXACT * np.array([scale, scale, ours.norm, scale, scale]))
    elif match := re.fullmatch(r"([WE]\d+)_row0_first(\d+)", what):
        trace.compare(key, weights[match[1]].T[0, : int(match[2])], EXACT)
