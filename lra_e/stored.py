"""Trained networks on disk: a run, or a safetensors file with its metadata; no framework."""

import json
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.files import documents
from common.files.paths import home
from common.files.seal import KEY, finite, seal, verified
from common.files.writing import whole

FINISHED = documents.table(
    epochs=documents.COUNT, final=documents.table(test_accuracy=documents.NUMBER)
)
"""What is told of a run's summary.json."""
ABOUT = documents.table(documents.TEXT)


def read(source: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Weights by name (W1 (n_0, n_1), W2, …, b1 (n_1,), …) and what made them.

    UserError where the source is no run and no model.
    """
    from safetensors import SafetensorError, safe_open

    file = source = home(source)
    about: dict[str, str] = {}
    if source.is_dir():
        from common.runs.checkpoint import of_run

        config = documents.read(source / "config.json", documents.CONFIG)
        named = ("rule", "activation", "dataset", "seed")
        options = documents.run_options(source, config, "lra_e", named)
        file = of_run(source, "last") / "tensors.safetensors"
        summary = documents.read(source / "summary.json", FINISHED)
        about = {"script": config["script"], **{name: str(options[name]) for name in named}}
        about["epochs"] = str(summary["epochs"])
        about["test_accuracy"] = f"{summary['final']['test_accuracy']:.2f}"
    try:
        with safe_open(file, "np") as tensors:
            header = dict(tensors.metadata() or {})  # of an older file: about, entry by entry
            weights = {name: tensors.get_tensor(name) for name in tensors.keys()}
            verified(file, weights, header)
            finite(file, weights)
        stored_options = json.loads(header.pop("options", "{}"))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise UserError(f"{file}: not a whole safetensors file ({error})") from error
    about = header | documents.check(stored_options, ABOUT, f"{file}: metadata") | about
    if "W1" not in weights:
        raise UserError(f"{file}: has no W1, so it is no network of LRA-E")
    kept = {n: t for n, t in weights.items() if n[0] in "Wb" and n[1:].isdigit()}
    return _fitting(file, kept), about


def _fitting(file: Path, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights, if they are a chain of layers; UserError that says where it is broken."""
    depth, width = depth_of(weights), None
    for layer in range(1, depth + 1):
        if f"W{layer}" not in weights:
            raise UserError(f"{file}: has {depth} layers of weights, but no W{layer}")
        W, b = weights[f"W{layer}"], weights.get(f"b{layer}")
        if W.ndim != 2 or not W.size or W.dtype.kind != "f" or width not in (None, len(W)):
            raise UserError(f"{file}: W{layer} is {W.dtype} {W.shape}, which continues no network")
        width = W.shape[1]
        if b is not None and (b.shape != (width,) or b.dtype.kind != "f"):
            raise UserError(f"{file}: b{layer} is {b.dtype} {b.shape}, not of {width} units")
    return weights


def depth_of(weights: dict[str, np.ndarray]) -> int:
    """How many layers of weights there are."""
    return sum(name[0] == "W" for name in weights)


def export(weights: dict[str, np.ndarray], about: dict[str, str], target: Path) -> None:
    """Write W and b as float32 with their metadata; never half a file. UserError where the disk
    refuses."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    kept = {n: np.ascontiguousarray(t, np.float32) for n, t in weights.items()}
    count = sum(t.size for t in kept.values())
    with whole(target, SafetensorError) as temporary:
        options = json.dumps({**about, "parameters": str(count)})
        save_file(kept, temporary, {"options": options, KEY: seal(kept)})
