"""What the cases start from: a folder of images and a whole run of each trainer."""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.fuzz.case import plain
from tests.fuzz.data_images import pack, whole_tiny
from tests.fuzz.programs import PROGRAMS
from tests.fuzz.runs import EVALUATES
from tests.fuzz.weights import RESUMES, TRAINED

AUDITED = {"asap.train", "burstprop.train_mnist", "lra_e.mnist.mnist_torch"}
ALWAYS = {"asap.train", "brainprop.main", "burstprop.train_mnist"}
"""What the programs that draw figures read."""


def images(stock: Path) -> None:
    """images/train and images/val with two classes of noise, and an archive of Tiny ImageNet's
    layout."""
    folder, size, each, chance = stock / "images", 40, 12, random.Random(40)
    for half in ("train", "val"):
        for name in ("n01", "n02"):
            for index in range(each):
                path = folder / half / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.frombytes("RGB", (size, size), chance.randbytes(3 * size**2)).save(path)
    whole_tiny(chance, stock / "packed")
    pack(stock / "packed", stock / "tiny.zip")


def needed(tasks: Iterable[dict[str, Any]]) -> set[str]:
    """The trainers whose runs these tasks read."""
    modules = {task["module"] for task in tasks if task["kind"] == "runs"}
    runs = {EVALUATES.get(name, name) for name in modules}
    names = {name for name in runs if PROGRAMS[name].run} | ALWAYS
    return names | {
        TRAINED.get(t["module"], t["module"])
        for t in tasks
        if t["kind"] == "weights" and t["module"] in RESUMES
    }


def runs(names: Iterable[str], stock: Path, folder: Path) -> list[dict[str, Any]]:
    """Tasks that make stock/<program>, a run with two epochs, an audit and checkpoints."""
    tasks = []
    for name in sorted(names):
        words = plain(name, stock, stock)
        words[words.index("--out") + 1] = str(stock / name)
        words += ["--checkpoint-every", "1", *(["--audit"] if name in AUDITED else [])]
        tasks.append({"module": name, "words": words, "folder": str(folder / f"stock-{name}")})
    return tasks
