"""Data files as people have them: IDX, CIFAR's pickles, MATLAB, folders of images, tables."""

import random
from collections.abc import Callable
from pathlib import Path

from tests.fuzz import data_images, data_sets
from tests.fuzz.case import EITHER, REFUSED, TAKEN, Case, plain

Maker = Callable[[random.Random, Path], tuple[str, str]]
"""Makes a data root in a folder; what is odd about it, and what a program must do."""

IDX, CIFAR10, CIFAR100 = data_sets.idx, data_sets.cifar10, data_sets.cifar100
READS: dict[str, dict[str, Maker]] = {
    "asap.train": {
        "mnist": IDX,
        "cifar10": CIFAR10,
        "cifar100": CIFAR100,
        "svhn": data_sets.svhn,
        "tiny_imagenet": data_images.tiny,
    },
    "brainprop.main": {"mnist": IDX, "cifar10": CIFAR10},
    "burstprop.train_mnist": {"mnist": IDX, "fashion_mnist": data_sets.fashion},
    "burstprop.train_cifar10": {"cifar10": CIFAR10},
    "lra_e.mnist.mnist_torch": {"mnist": IDX},
    "lra_e.fmnist.fmnist_newTF": {"fashion_mnist": data_sets.fashion},
    "lra_e.evaluate": {"mnist": IDX},
    "s3net.cifar100.train_S3Net": {"cifar100": CIFAR100, "cifar10": CIFAR10},
    "s3net.tinyimagenet.train": {"tiny_imagenet": data_images.tiny, "cifar10": CIFAR10},
}
FOLDERS = (
    "burstprop.train_imagenet",
    "s3net.imagenet.train",
    "s3net.imagenet.validate_10crop",
    "s3net.imagenet.folder2lmdb",
    "s3net.interpretability.fullgrad",
)
OWN = ("s3net.expressibility.compare", "brainprop.tinyimagenet")


def programs() -> list[str]:
    """Every program that reads files of data."""
    return [*READS, *FOLDERS, *OWN]


def make(chance: random.Random, module: str, work: Path, stock: Path) -> Case:
    """The program's plain words on data that are whole, odd or broken."""
    patches: list[Callable[[], None]] = []
    if module in READS:
        dataset = chance.choice(sorted(READS[module]))
        root = work / "data"
        root.mkdir()
        note, expect = READS[module][dataset](chance, root)
        patches = data_sets.known_hashes(root, dataset) if chance.random() < 0.8 else []
        if dataset.startswith("cifar") and not patches:
            note, expect = f"{note}, other MD5s", REFUSED
        words = plain(module, work, stock)
        words[words.index("--data") + 1] = dataset
        if module == "brainprop.main" and dataset == "cifar10":
            words[words.index("MNIST") : words.index("BrainProp")] = ["CIFAR10", "conv"]
        words += ["--data-dir", str(root), "--no-download"]
    elif module in FOLDERS:
        lmdb = module == "s3net.imagenet.train" and chance.random() < 0.5
        images = data_images.records if lmdb else data_images.folder
        note, expect = images(chance, work / "images")
        words = [
            w.replace(str(stock / "images"), str(work / "images"))
            for w in plain(module, work, stock)
        ]
        if "--data" in words and "train" in module:
            at = words.index("--data")
            words[at : at + 2] = ["--data-dir", str(work / "images")]
            if module == "burstprop.train_imagenet":
                words += ["--data", "image_folder"]
            else:
                words += ["--data", "imagenet"] if chance.random() < 0.5 else []
                words.insert(0, str(work / "images"))
                del words[words.index("--data-dir") : words.index("--data-dir") + 2]
        if expect == REFUSED and "train" not in module or module.endswith("fullgrad"):
            expect = EITHER  # these read one half of it, or a folder of any photographs
    elif module == "brainprop.tinyimagenet":
        file = work / "tiny.zip"
        note, expect = data_images.archive(chance, file)
        words = [str(file) if "zip" in word else word for word in plain(module, work, stock)]
    else:
        note, expect, file = data_sets.table(chance, work)
        words = [*plain(module, work, stock), "--dataset", "boston", "--boston", str(file)]
    assert expect in (EITHER, REFUSED, TAKEN)
    return Case("data", module, words, expect, note, work, patches=patches)
