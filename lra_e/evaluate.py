"""Test a trained network: `python -m lra_e.evaluate [MODEL] [--data mnist]`; needs no framework.

MODEL is a run directory of any of the programs, or a safetensors file that --export wrote; without
it, the network that lies beside this file. A file's header says what made it.
"""

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from common.cli import Options, argument, command, option
from common.cli.params import choice, path, positive_int
from common.errors import UsageError, UserError
from common.files import documents
from common.files.paths import home
from common.files.seal import KEY, finite, seal, verified
from common.files.writing import whole

STORED = Path(__file__).with_name("model.safetensors")
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "sigmoid": lambda h: 1 / (1 + np.exp(-h)),
    "relu": lambda h: np.maximum(h, 0),
    "linear": lambda h: h,
    "sign": np.sign,
}


FINISHED = documents.table(
    epochs=documents.COUNT, final=documents.table(test_accuracy=documents.NUMBER)
)
"""What is told of a run's summary.json."""


def read_model(source: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
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
        about = {
            "script": config["script"],
            "rule": options["rule"],
            "activation": options["activation"],
            "dataset": options["dataset"],
            "seed": str(options["seed"]),
            "epochs": str(summary["epochs"]),
            "test_accuracy": f"{summary['final']['test_accuracy']:.2f}",
        }
    try:
        with safe_open(file, "np") as tensors:
            about = dict(tensors.metadata() or {}) | about
            weights = {name: tensors.get_tensor(name) for name in tensors.keys()}
            verified(file, weights, about)
            finite(file, weights)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: not a whole safetensors file ({error})") from error
    if "W1" not in weights:
        raise UserError(f"{file}: has no W1, so it is no network of LRA-E")
    kept = {n: t for n, t in weights.items() if n[0] in "Wb" and n[1:].isdigit()}
    return _fitting(file, kept), about


def _fitting(file: Path, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights, if they are a chain of layers; UserError that says where it is broken."""
    depth, width = _depth(weights), None
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


def _depth(weights: dict[str, np.ndarray]) -> int:
    return sum(name[0] == "W" for name in weights)


def logits(weights: dict[str, np.ndarray], x: np.ndarray, activation: str = "tanh") -> np.ndarray:
    """Logits (N, classes) of images x (N, pixels) in [0, 1]."""
    depth = _depth(weights)
    z = x
    for layer in range(1, depth + 1):
        h = z @ weights[f"W{layer}"] + weights.get(f"b{layer}", 0)
        z = ACTIVATIONS[activation](h) if layer < depth else h
    return z


def export(weights: dict[str, np.ndarray], about: dict[str, str], target: Path) -> None:
    """Write W and b as float32 with their metadata; never half a file. UserError where the disk
    refuses."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    kept = {n: np.ascontiguousarray(t, np.float32) for n, t in weights.items()}
    count = sum(t.size for t in kept.values())
    with whole(target, SafetensorError) as temporary:
        save_file(kept, temporary, {**about, "parameters": str(count), KEY: seal(kept)})


@command(paper="lra_e", name="evaluate")
@argument("model", type=path, required=False, help="a run directory or a safetensors file")
@option(
    "--dataset",
    "--data",
    "dataset",
    type=choice("mnist", "fashion_mnist", "digits"),
    default=None,
    help="Default: the one it was trained on.",
)
@option("--data-dir", type=path, default=None, help="Folder of the data sets.")
@option("--no-download/--download", default=False, help="Fail where data are missing.")
@option("--limit-test", type=positive_int, default=None, help="Test on so many images only.")
@option("--export", type=path, default=None, help="Also write W and b to this file.")
def main(options: Options) -> None:
    """Print what a network is and its accuracy on the test set."""
    from common.data.datasets import enlarge, load

    weights, about = read_model(options.model or STORED)
    if (hidden := about.get("activation", "tanh")) not in ACTIVATIONS:
        raise UserError(f"{options.model}: metadata: activation (={hidden}) must be one of "
                        f"{', '.join(ACTIVATIONS)}")  # fmt: skip
    dataset = options.dataset or about.get("dataset")
    if not dataset:
        raise UsageError(
            "option --dataset is needed: the model does not say what it was trained on"
        )
    data = load(dataset, options.data_dir, download=not options.no_download)
    test = data.test.limit(options.limit_test, "limit_test")
    if test.images.shape[1] < 28:
        test = enlarge(test, 28)
    x = test.images.reshape(len(test), -1).astype(np.float32) / np.float32(255)
    if x.shape[1] != weights["W1"].shape[0]:
        raise UsageError(f"option --dataset (={dataset}) has {x.shape[1]} pixels, the model reads "
                         f"{weights['W1'].shape[0]}")  # fmt: skip
    outputs = weights[f"W{_depth(weights)}"].shape[1]
    if outputs != len(data.classes):
        raise UsageError(f"option --dataset (={dataset}) has {len(data.classes)} classes, the "
                         f"model tells {outputs} from each other")  # fmt: skip
    predicted = logits(weights, x, hidden).argmax(1)
    click.echo(json.dumps(about))
    accuracy = 100 * float((predicted == test.labels).mean())
    click.echo(f"{dataset}: test accuracy {accuracy:.2f} % ({len(test)} images)")
    if options.export:
        export(weights, about, options.export)
        click.echo(options.export)


if __name__ == "__main__":
    main()
