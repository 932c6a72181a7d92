"""`~` in a path, wherever one is taken: an option, an argument, a variable, a library call.

A shell expands it only at the beginning of a word, so `--data-dir=~/data` reaches a program as it
was typed, and so does every path that is written in a program or a file.
"""

import os
from pathlib import Path


def data_root(root: str | Path | None = None) -> Path:
    """`root`, else the environment variable CREDITLAB_DATA, else `./data`; `~` is the home."""
    return home(root or os.environ.get("CREDITLAB_DATA") or "data")


def home(path: str | Path) -> Path:
    """`path` with a leading `~` or `~user` as that home; as it is where there is no such user."""
    return Path(os.path.expanduser(path))
