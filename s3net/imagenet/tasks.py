"""ImageNet's two halves, each a folder or an lmdb file; digits in their place for a quick look."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.data.check_data import check
from common.data.datasets import described, enlarge, load
from common.data.image_folder import one_half
from common.errors import ArgumentError, UserError
from common.files.reading import missing
from s3net.imagenet.records import Records

CLASSES = 1000  # of ImageNet
DIGITS = 32  # side to which digits are enlarged; crops are taken from that


@dataclass(frozen=True)
class Task:
    """Sources of images (`common.data.torch_stream`), as one run sees them; train None: not needed.

    checksums, unverified, name, about: what `common.runs.run.Run` records and says of the whole
    set.
    """

    train: Any
    val: Any
    classes: tuple[str, ...]
    checksums: dict[str, str]
    unverified: tuple[str, ...]
    name: str
    about: str

    def check_images(self, world: Any, quiet: bool) -> None:
        """Decode every image that the run will see. UserError names those that do not."""
        halves = {"training images": self.train, "validation images": self.val}
        check({name: half for name, half in halves.items() if half is not None}, world, quiet)


def load_task(
    dataset: str,
    folder: Path | None,
    train: Path | None = None,
    val: Path | None = None,
    *,
    training: bool = True,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Task:
    """The images of a folder with train and val, or of these places, each a folder or an lmdb file.

    training: whether there must be images to train on. UserError, one line, for what is missing or
    damaged.
    """
    if dataset == "digits":
        data = load("digits")
        first = enlarge(data.train.limit(limit_train), DIGITS, 3)
        second = enlarge(data.test.limit(limit_test, "limit_test"), DIGITS, 3)
        return Task(
            first, second, data.classes, data.checksums, data.unverified, data.name, data.about
        )
    places = {"train": train, "val": val} if training else {"val": val}
    halves, checksums, classes = {}, {}, {}
    for name, given in places.items():
        place = places[name] = given or _inside(folder, name)
        halves[name], classes[name], checksums[name] = open_half(place, name)
    if training and classes["train"] != classes["val"]:
        odd = min(set(classes["train"]) ^ set(classes["val"]))
        raise UserError(
            f"{places['val']}: class {odd} is not in both training and validation images"
        )
    n, images = len(classes["val"]), {name: len(half) for name, half in halves.items()}
    name = "imagenet" if n == CLASSES else f"imagenet_{n}"  # only its 1000 are imagenet
    where = " and ".join(map(str, places.values()))
    about = described(name, n, images.get("train"), images["val"], where)
    return Task(
        halves["train"].limit(limit_train) if training else None,
        halves["val"].limit(limit_test, "limit_test"),
        classes["val"],
        checksums,
        tuple(checksums),
        name,
        about,
    )


def _inside(folder: Path | None, half: str) -> Path:
    """Where a half is in a folder: a folder of its name before an lmdb file."""
    if folder is None:
        raise ArgumentError(
            half, "is missing: a folder with a folder a class, or an lmdb file (or give DATA)"
        )
    places = [folder / half, folder / f"{half}.lmdb"]
    for place in places:
        if place.exists():
            return place
    raise missing("image folder or lmdb file", places)


def open_half(where: Path, half: str) -> tuple[Any, tuple[str, ...], str]:
    """Source, classes and checksum of a folder or an lmdb file."""
    if where.is_dir() and not (where / "data.mdb").is_file():
        return one_half(where)
    if not where.exists():
        raise ArgumentError(half, f"(={where}): there is no such folder or lmdb file")
    records = Records(where / "data.mdb" if where.is_dir() else where)
    return records, records.classes, records.checksum
