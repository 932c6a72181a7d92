"""How long a file and how full a folder may be; what is over that today may only shrink."""

from pathlib import Path

import pytest

from common.files import paper_folders

ROOT = Path(__file__).parents[2]
PRODUCT = ("common", *(path.name for path in paper_folders.folders()), "benchmarks")
FILES = sorted(path for package in PRODUCT for path in (ROOT / package).rglob("*.py"))

MOST_LINES = 300
LONG = {
    # file: its lines today. Nothing may be added here; take out what has been cut.
}

MOST_MODULES = 16
FULL = {
    # folder: its modules today. Nothing may be added here; take out what has been thinned.
}


def modules() -> dict[str, int]:
    """Folder → its modules, without __init__, the inputs files and the path to the root."""
    count: dict[str, int] = {}
    for path in FILES:
        if path.stem not in ("__init__", "the_folder_above") and not path.match("inputs_*.py"):
            folder = str(path.parent.relative_to(ROOT))
            count[folder] = count.get(folder, 0) + 1
    return count


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_product_file_is_over_300_lines(path):
    """A file that one cannot read in one go has two purposes."""
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONG.get(str(path.relative_to(ROOT)), MOST_LINES)


def test_no_folder_holds_over_16_modules():
    """More do not fit into a reader's view, nor into one purpose."""
    over = {
        folder: n for folder, n in modules().items() if n > max(FULL.get(folder, 0), MOST_MODULES)
    }
    assert not over


def test_what_is_excepted_still_needs_it():
    """An exception that outlives its reason lets the file grow again."""
    lines = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in FILES}
    assert [name for name in LONG if lines.get(name, 0) <= MOST_LINES] == []
    assert [name for name in FULL if modules().get(name, 0) <= MOST_MODULES] == []
