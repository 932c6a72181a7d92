"""The files that the original's -s leaves in the current folder; no framework.

<dataset>_<architecture>_<alg>_accuracy.pdf    training and validation accuracy by epoch
<dataset>_<architecture>_<alg>_history.pkl     [dataset, algorithm, {loss, accuracy, ...}]
                              ..._history.json the same for programs that unpickle nothing
<dataset>_<architecture>_<alg>_weights.h5      weights, and ..._last_weights.h5
"""

import json
import pickle
import re
from pathlib import Path
from typing import Any

from common.files.writing import write_bytes, write_figure, write_text

TYPES = (
    *("accuracy.pdf", "history.pkl", "history.json"),
    *("weights.h5", "last_weights.h5", "best_weights.h5"),
)
COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "lr")


def names(folder: Path, dataset: str, architecture: str, algorithm: str) -> dict[str, Path]:
    """Type -> path, numbered where any of the names is taken: ..._0_history.pkl."""
    base, number = f"{dataset}_{architecture}_{algorithm}", -1
    while True:
        stem = base if number < 0 else f"{base}_{number}"
        paths = {kind: folder / f"{stem}_{kind}" for kind in TYPES}
        if not any(path.exists() for path in paths.values()):
            return paths
        number += 1


def newest_weights(folder: Path, dataset: str, architecture: str, algorithm: str) -> Path | None:
    """The weights that were saved last under these names."""
    base = f"{dataset}_{architecture}_{algorithm}"
    plain = re.compile(re.escape(base) + r"(_\d+)?_weights\.h5")
    saved = [path for path in folder.glob(f"{base}_*.h5") if plain.fullmatch(path.name)]
    return max(saved, key=lambda path: path.stat().st_mtime, default=None)


def history(lines: list[dict[str, Any]], validation: str) -> dict[str, list[float]]:
    """The epochs' lines under Keras' names, accuracies as fractions."""
    keys = ("train_loss", "train_accuracy", f"{validation}_loss", f"{validation}_accuracy", "lr")
    columns: dict[str, list[float]] = {column: [] for column in COLUMNS}
    for line in lines:
        for column, key in zip(COLUMNS, keys, strict=True):
            value = line[key]
            columns[column].append(value / 100 if "accuracy" in column else value)
    return columns


def write_history(
    pickled: Path, plain: Path, dataset: str, algorithm: str, columns: dict[str, list[float]]
) -> None:
    """As the original pickles it, and as JSON."""
    document = [dataset, algorithm, columns]
    write_bytes(pickled, pickle.dumps(document))
    write_text(plain, json.dumps(document) + "\n")


def draw(path: Path, dataset: str, algorithm: str, columns: dict[str, list[float]]) -> None:
    """Training and validation accuracy, the best validation epoch marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8))
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    train, validation = columns["accuracy"], columns["val_accuracy"]
    epochs = range(1, len(train) + 1)
    best = max(epochs, key=lambda epoch: validation[epoch - 1])
    top = validation[best - 1]
    axes.plot(epochs, train, label="training")
    axes.plot(epochs, validation, label=f"validation (maximum {top:.5f})")
    axes.plot([best], [top], "o", color="green")
    axes.axvline(best, color="green", linestyle="--", linewidth=1)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy")
    axes.set_title(f"{algorithm} - {dataset}")
    axes.legend(loc="lower right")
    ticks = [
        tick for tick in axes.get_xticks() if 1 <= tick <= len(train) and abs(tick - best) > 0.6
    ]
    axes.set_xticks(sorted([*ticks, best]))
    for tick, label in zip(sorted([*ticks, best]), axes.get_xticklabels(), strict=True):
        label.set_color("green" if tick == best else "black")
    write_figure(figure, path, dpi=300)
