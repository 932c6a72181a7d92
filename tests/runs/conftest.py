"""The toy script in a process of its own."""

from pathlib import Path

import pytest

from tests.helpers.processes import Script


class Toy:
    """toy(*arguments, kill=..., limit=...) runs the script to its end; `start` does not wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, *arguments, kill="", limit=None) -> Script:
        environment = {"KILL": kill, "CUDA_VISIBLE_DEVICES": "-1"}
        place = {"cwd": self.folder, "environment": environment, "limit": limit}
        return Script("tests.runs.toy", *arguments, **place)

    def __call__(self, *arguments, **named):
        return self.start(*arguments, **named).wait()


@pytest.fixture
def toy(tmp_path) -> Toy:
    return Toy(tmp_path)
