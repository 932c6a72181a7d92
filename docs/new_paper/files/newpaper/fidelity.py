"""Where an original program and the paper part ways: every defect a switch (newpaper, 9).

A rule of your own has no original. Keep one switch for whatever your first draft did otherwise,
or take out this file, `switches` in options.py and the table in section 9.
"""

from dataclasses import dataclass

from common.cli.switches import switch


@dataclass(frozen=True)
class Fidelity:
    """The switches of `newpaper.train`."""

    sum_over_batch: bool = switch(
        corrected=False,
        original=True,
        defect="D1",
        effect="updates are summed over a batch, not averaged: a larger batch is a larger rate",
        evidence="an example of how a defect is told",
    )
