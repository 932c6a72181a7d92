"""An image folder as one lmdb file: `python -m s3net.imagenet.folder2lmdb -d FOLDER -o FILE`."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from common.cli import Options, command, option
from common.cli.params import path, positive_int
from common.errors import UsageError

COMMIT_BYTES = 64 << 20  # what a transaction holds in memory, at most


@dataclass(frozen=True, kw_only=True)
class ConvertOptions(Options):
    """What folder2lmdb takes."""

    dataset: Path | None = option(
        "-d", "--dataset", type=path, help="Folder with a folder a class."
    )
    outpath: Path | None = option("-o", "--outpath", type=path, help="File to write: an lmdb file.")
    commit_every: int = option(
        type=positive_int,
        default=5000,
        original=False,
        help="Images after which what is written is safe from a crash, at most.",
    )
    check: bool = option(
        "--check/--no-check",
        default=True,
        show_default=False,
        original=False,
        help="Decode every image before it is stored (default: yes).",
    )
    quiet: bool = option(
        "--quiet/--no-quiet", default=False, original=False, help="Show no progress bar."
    )


@command(ConvertOptions, paper="s3net", name="folder2lmdb")
def main(options: ConvertOptions) -> None:
    """Store the files of an image folder, as they are, in one lmdb file.

    The same command goes on where an earlier one was broken off.
    """
    if options.dataset is None:
        raise UsageError("option --dataset is missing")
    if options.outpath is None:
        raise UsageError("option --outpath is missing")
    if not options.dataset.is_dir():
        raise UsageError(f"option --dataset (={options.dataset}) must be a folder")
    if options.outpath.is_dir():
        raise UsageError(f"option --outpath (={options.outpath}) is a folder, not a file")
    convert(
        options.dataset,
        options.outpath,
        commit_every=options.commit_every,
        check=options.check,
        quiet=options.quiet,
    )


def convert(folder: Path, file: Path, *, commit_every: int, check: bool, quiet: bool) -> None:
    """Write the images of a folder into an lmdb file, or go on with it.

    commit_every: images after which what is written is safe; check: decode each one before it is
    stored; quiet: no progress bar. UsageError for a folder of halves and for a file of other
    images, UserError for what cannot be read or written.
    """
    from tqdm import tqdm

    from common.data.image_folder import one_half
    from common.data.pixels import decode_bytes
    from common.files.reading import damaged, read
    from common.files.writing import writing
    from s3net.imagenet.records import LABELS, META, library, open_file, pack, read_meta, write_meta

    split, classes, listing = one_half(folder)
    if {"train", "val"} <= set(classes):
        raise UsageError(
            f"option --dataset (={folder}) holds train and val: convert each by itself"
        )
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    held = sum(Path(each).stat().st_size for each in split.paths)
    # Each image's last page is half empty, and the tree takes a little more.
    with open_file(file, map_size=2 * held + 16384 * len(split) + (64 << 20)) as environment:
        try:
            meta = read_meta(environment)
        except ValueError as error:
            raise damaged(file, str(error)) from None
        about = {"images": len(split), "classes": list(classes), "listing": listing}
        if meta is not None and any(meta[name] != value for name, value in about.items()):
            raise UsageError(
                f"option --outpath (={file}) holds the images of another folder, or of this one "
                "before it changed; choose another file"
            )
        done = meta["done"] if meta else 0
        if done:
            click.echo(f"{file}: {done} of {len(split)} images are there already")
        todo = range(done, len(split))
        bar = tqdm(todo, initial=done, total=len(split), disable=True if quiet else None)
        full = library().Error  # lmdb's own, where the disk or the map is full
        with writing(file, full):
            transaction, waiting = environment.begin(write=True), 0
            try:
                for i in bar:
                    source = split.paths[i]
                    image = read(source)
                    if check:
                        decode_bytes(image, source)
                    name = str(Path(source).relative_to(folder))
                    transaction.put(str(i).encode(), pack(image, int(split.labels[i]), name))
                    done, waiting = i + 1, waiting + len(image)
                    if done % commit_every == 0 or waiting >= COMMIT_BYTES:
                        write_meta(transaction, about | {"done": done})
                        transaction.commit()
                        transaction, waiting = environment.begin(write=True), 0
            except (OSError, full):
                with suppress(full):  # what was committed before stays
                    transaction.abort()
                raise
            except BaseException:  # a bad image, or Ctrl-C: keep the good ones before it
                write_meta(transaction, about | {"done": done})
                transaction.commit()
                raise
            write_meta(transaction, about | {"done": done})
            transaction.put(LABELS, split.labels.astype("<i8").tobytes())
            transaction.commit()
        entries = environment.stat()["entries"]
    if entries != len(split) + len((META, LABELS)):
        raise damaged(file, f"holds {entries - 2} images instead of {len(split)}")
    file.with_name(f"{file.name}-lock").unlink(missing_ok=True)  # lmdb's, of no use to readers
    click.echo(
        f"{file}: {len(split)} images of {len(classes)} classes, {file.stat().st_size} bytes"
    )


if __name__ == "__main__":
    main()
