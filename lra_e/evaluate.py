"""Test a trained network: `python -m lra_e.evaluate [MODEL] [--data mnist]`; needs no framework.

MODEL is a run directory of any of the programs, or a safetensors file that --export wrote; without
it, the network that lies beside this file. A file's header says what made it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from common.cli import Options, argument, command, option
from common.cli.params import choice, path, positive_int
from common.errors import UsageError, UserError
from lra_e.stored import depth_of, export, read

STORED = Path(__file__).with_name("model.safetensors")
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "tanh": np.tanh,
    "sigmoid": lambda h: 1 / (1 + np.exp(-h)),
    "relu": lambda h: np.maximum(h, 0),
    "linear": lambda h: h,
    "sign": np.sign,
}


def logits(weights: dict[str, np.ndarray], x: np.ndarray, activation: str = "tanh") -> np.ndarray:
    """Logits (N, classes) of images x (N, pixels) in [0, 1]."""
    depth = depth_of(weights)
    z = x
    for layer in range(1, depth + 1):
        h = z @ weights[f"W{layer}"] + weights.get(f"b{layer}", 0)
        z = ACTIVATIONS[activation](h) if layer < depth else h
    return z


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """What `evaluate` takes."""

    model: Path | None = argument(
        type=path, required=False, help="A run directory or a safetensors file."
    )
    dataset: str | None = option(
        "--dataset",
        "--data",
        type=choice("mnist", "fashion_mnist", "digits"),
        help="Data set (default: the one it was trained on).",
    )
    data_dir: Path | None = option(type=path, help="Folder of the data sets.")
    no_download: bool = option(
        "--no-download/--download", default=False, help="Fail where data are missing."
    )
    limit_test: int | None = option(type=positive_int, help="Test on so many images only.")
    export: Path | None = option(type=path, help="Also write W and b to this file.")


@command(EvaluateOptions, paper="lra_e", name="evaluate")
def main(options: EvaluateOptions) -> None:
    """Print what a network is and its accuracy on the test set."""
    from common.data.datasets import enlarge, load

    source = options.model or STORED
    weights, about = read(source)
    if (hidden := about.get("activation", "tanh")) not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise UserError(f"{source}: metadata: activation (={hidden}) must be one of {known}")
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
    inputs, outputs = len(weights["W1"]), weights[f"W{depth_of(weights)}"].shape[1]
    named = f"option --dataset (={dataset}) has"
    if x.shape[1] != inputs:
        raise UsageError(f"{named} {x.shape[1]} pixels, the model reads {inputs}")
    if outputs != len(data.classes):
        raise UsageError(
            f"{named} {len(data.classes)} classes, the model tells {outputs} from each other"
        )
    predicted = logits(weights, x, hidden).argmax(1)
    click.echo(json.dumps(about))
    accuracy = 100 * float((predicted == test.labels).mean())
    click.echo(f"{dataset}: test accuracy {accuracy:.2f} % ({len(test)} images)")
    if options.export:
        export(weights, about, options.export)
        click.echo(options.export)


if __name__ == "__main__":
    main()
