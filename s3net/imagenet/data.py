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


def load_task(options: Any, *, training: bool = True) -> Task:
    """The images that the options name. UserError, one line, for what is missing or damaged."""
    limits = options.limit_train, options.limit_test
    if options.dataset == "digits":
        data = load("digits")
        first = enlarge(data.train.limit(limits[0]), DIGITS, 3)
        second = enlarge(data.test.limit(limits[1], "limit_test"), DIGITS, 3)
        said = data.checksums, data.unverified, data.name, data.about
        return Task(first, second, data.classes, *said)
    halves, names = {}, ["train", "val"] if training else ["val"]
    checksums, classes, where = {}, {}, {}
    for name in names:
        where[name] = place(options, name)
        halves[name], classes[name], checksums[name] = open_half(where[name], name)
    if training and classes["train"] != classes["val"]:
        odd = min(set(classes["train"]) ^ set(classes["val"]))
        raise UserError(f"{where['val']}: class {odd} is not in both training and "
                        "validation images")  # fmt: skip
    called, n = set_name(len(classes["val"])), len(classes["val"])
    images = len(halves["train"]) if training else None
    about = described(called, n, images, len(halves["val"]), " and ".join(map(str, where.values())))
    train = halves["train"].limit(limits[0]) if training else None
    val = halves["val"].limit(limits[1], "limit_test")
    return Task(train, val, classes["val"], checksums, tuple(checksums), called, about)


def set_name(classes: int) -> str:
    """What images of so many classes are called in a run: only ImageNet's 1000 are imagenet."""
    return "imagenet" if classes == CLASSES else f"imagenet_{classes}"


def check_images(options: Any, task: Task, world: Any) -> None:
    """--check-data: decode every image that the run will see. UserError names those that do not."""
    if options.check_data:
        halves = {"training images": task.train, "validation images": task.val}
        found = {name: half for name, half in halves.items() if half is not None}
        check(found, world, options.quiet)


def place(options: Any, half: str) -> Path:
    """Where a half is: its option, else in DATA, a folder before an lmdb file."""
    given = getattr(options, half)
    if given is not None:
        return given
    if options.data is None:
        raise ArgumentError(half, "is missing: a folder with a folder a class, or an lmdb file (or "
                            "give DATA)")  # fmt: skip
    found = [options.data / half, options.data / f"{half}.lmdb"]
    for each in found:
        if each.exists():
            return each
    raise missing("image folder or lmdb file", found)


def open_half(where: Path, half: str) -> tuple[Any, tuple[str, ...], str]:
    """Source, classes and checksum of a folder or an lmdb file."""
    if where.is_dir() and not (where / "data.mdb").is_file():
        return one_half(where)
    if not where.exists():
        raise ArgumentError(half, f"(={where}): there is no such folder or lmdb file")
    records = Records(where / "data.mdb" if where.is_dir() else where)
    return records, records.classes, records.checksum


def stream(options: Any, source: Any, crop: Any, device: Any, world: Any, **order: Any) -> Any:
    """This process's batches of a source. crop: of `common.data.torchvision_transforms`, for a
    side; order: shuffle and seed."""
    from common.backends.torch_backend import floats
    from common.data.torch_stream import TorchStream

    return TorchStream(
        source,
        options.batch_size // world.size,
        crop(options.image_size),
        workers=options.workers,
        part=(world.rank, world.size),
        device=device,
        dtype=floats(options.precision),
        channels_last=True,
        **order,
    )
