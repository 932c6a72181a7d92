"""Running the toy script in a process of its own, and comparing what two runs left."""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

# A server that has the frameworks imported already (those that are installed) forks the processes:
# real ones to kill, without the seconds that the imports take each time.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["tests", "torch", "torch._dynamo", "common.torch_backend", "common.tf_backend", "common.run"]
)


def _script(arguments, folder, environment, limit, out, err):
    """The process: what `python -m tests.runs.toy ARGUMENTS` does, started in `folder`."""
    for path, number in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    os.chdir(folder)
    os.environ.update(environment)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    from tests.runs.toy import main

    main([str(argument) for argument in arguments])


class Toy:
    """toy(*arguments, kill=..., limit=...) runs the script to its end; `start` does not wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = 0

    def start(self, *arguments, kill="", limit=None):
        self.started += 1
        paths = [self.folder / f".{name}-{self.started}" for name in ("out", "err")]
        environment = {"KILL": kill, "CUDA_VISIBLE_DEVICES": "-1"}
        process = SERVER.Process(
            target=_script, args=(arguments, self.folder, environment, limit, *paths)
        )
        process.start()
        return process, paths

    def finish(self, started, timeout=240):
        process, paths = started
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError("the toy runs on and on")
        texts = [path.read_text() if path.exists() else "" for path in paths]
        return subprocess.CompletedProcess(process.name, process.exitcode, *texts)

    def __call__(self, *arguments, **named):
        return self.finish(self.start(*arguments, **named))


@pytest.fixture
def toy(tmp_path) -> Toy:
    return Toy(tmp_path)


def left_by(run: Path) -> dict:
    """What a run left behind that must not depend on how often it was broken off."""
    last = run / "checkpoints" / "last"
    state = json.loads((last / "state.json").read_text())
    state["run"].pop("seconds")
    state["run"].pop("metrics_bytes")  # lines hold seconds
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line.pop("seconds", None)
        line.pop("images_per_second", None)
    return {
        "tensors": (last / "tensors.safetensors").read_bytes(),
        "state": state,
        "lines": lines,
        "best": json.loads((run / "summary.json").read_text())["best"],
    }
