"""The name that the first page promised: `python train.py --input-data DATA --alpha 10 --beta 20`.

DATA is a folder of data sets, the name of one, or an input file. The page was a template: BrainProp
has no alpha and no beta, which are left out with a word. All else goes to `brainprop.main`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from brainprop.main import main

LEFT_OUT = ("--alpha", "--beta")


def translated(words: Sequence[str]) -> list[str]:
    """The same in `brainprop.main`'s words."""
    ours: list[str] = []
    given = iter(word for w in words for word in (w.split("=", 1) if w.startswith("--") else [w]))
    for word in given:
        if word in LEFT_OUT:
            next(given, None)
            click.echo(f"option {word} means nothing in BrainProp: left out", err=True)
        elif word == "--input-data":
            data = next(given, "")
            option = "--data-dir" if Path(data).is_dir() else "--data"
            ours += [data] if Path(data).suffix == ".py" else [option, data]
        else:
            ours.append(word)
    return ours


if __name__ == "__main__":
    main(translated(sys.argv[1:]), prog_name="python -m brainprop.train")
