"""Tiny ImageNet from its archive: `python -m brainprop.tinyimagenet [ZIP]`."""

from dataclasses import dataclass
from pathlib import Path

import click

from common.cli import Options, argument, command, option
from common.cli.params import existing_file, path
from common.cli.switches import switch, switch_options
from common.errors import UserError
from common.files.paths import home


@dataclass(frozen=True)
class TinyFidelity:
    """Where the original's script and this one part ways."""

    always_succeed: bool = switch(
        corrected=False,
        original=True,
        defect="D21",
        effect="a missing or damaged archive is told and ends with exit code 0",
        evidence="the original's script exits 0 whatever happens",
    )


@dataclass(frozen=True, kw_only=True)
class TinyOptions(Options):
    """What brainprop.tinyimagenet takes."""

    archive: Path | None = argument(
        type=existing_file,
        required=False,
        metavar="ZIP",
        help="The archive (default: tiny-imagenet-200.zip here).",
    )
    out: Path = option(type=path, default=Path("."), original=False, help="Folder to extract into.")
    switches: TinyFidelity = switch_options(TinyFidelity)


@command(TinyOptions, paper="brainprop", name="tinyimagenet")
def main(options: TinyOptions) -> None:
    """Extract and check tiny-imagenet-200.zip (or ZIP) in this folder.

    The folder tiny-imagenet-200 appears when all of it is there: 200 classes of 500 images and
    10,000 validation images. Whatever breaks it off, start it again.
    """
    try:
        click.echo(extract(options.archive, options.out))
    except UserError as error:
        if not options.switches.always_succeed:
            raise
        click.echo(str(error))


def extract(archive: Path | None, out: Path) -> str:
    """Extract unless the folder is there, check it, and say what is there now.

    archive   None: tiny-imagenet-200.zip in the current folder. An archive with a set of the same
              layout under another name is taken too: its name is the folder's.

    Raises UserError for an archive that is missing, damaged, or not such a set.
    """
    from common.data.download import one_process, unpack
    from common.data.tiny_imagenet import ARCHIVE, FOLDER, inventory

    packed, out = home(archive or ARCHIVE.place), home(out)
    there = archive is None and (out / FOLDER).is_dir()
    if not there and not packed.is_file():
        raise UserError(
            f"{packed} is missing in this folder; download it from {ARCHIVE.urls[0]}, or name the "
            "file"
        )
    folder = FOLDER if there else folder_of(packed)
    target = out / folder
    if target.is_dir():
        return f"{target} is there already: {counted(target)}"
    with one_process(target):
        if not target.is_dir():
            click.echo(f"Extracting {packed} to {target}")
            unpack(packed, out, folder, check=inventory)
    return f"{target} is extracted: {counted(target)}"


def folder_of(archive: Path) -> str:
    """The one folder of an archive that holds wnids.txt. UserError where there is none such."""
    import zipfile

    from common.files.reading import damaged

    try:
        with zipfile.ZipFile(archive) as packed:
            names = [name.split("/") for name in packed.namelist()]
    except (zipfile.BadZipFile, OSError) as error:
        why = "is no zip archive, or one that was cut short"
        raise damaged(archive, f"{why} ({error})") from error
    folders = {parts[0] for parts in names if parts[1:] == ["wnids.txt"]}
    if len(folders) != 1 or folders & {"", ".", ".."}:
        raise damaged(archive, "holds no folder with wnids.txt: it is not Tiny ImageNet")
    return folders.pop()


def counted(folder: Path) -> str:
    """What a folder holds, in words. UserError where it is not whole."""
    from common.data.tiny_imagenet import inventory

    classes, train, val = inventory(folder)
    return f"{len(classes)} classes, {len(train):,} training and {len(val):,} validation images"


if __name__ == "__main__":
    main()
