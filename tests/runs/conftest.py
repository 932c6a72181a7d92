"""Running the toy script in a process of its own, and comparing what two runs left."""

import importlib
import json
import multiprocessing
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

# A server that has the frameworks imported already (those that are installed) forks the processes:
# real ones to kill, without the seconds that the imports take each time.
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "tests",
        "torch",
        "torch._dynamo",
        "common.backends.torch_backend",
        "common.backends.tf_backend",
        "common.runs.run",
    ]
)


def _speak_into(log: Path) -> None:
    """What this process prints goes to a file, from now on."""
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(number, 1)
    os.dup2(number, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")


def run_with_signal(
    words: list[str], script: str, learner: str, at: int, number: int, log: Path
) -> None:
    """In a process of its own: run a script that gets a signal before step `at` (0: never).

    script, learner   modules with `main`, and with `Learner`
    """
    _speak_into(log)
    made = importlib.import_module(learner).Learner
    step, calls = made.train_step, []

    def struck(self, images, labels):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), number)
        return step(self, images, labels)

    made.train_step = struck
    importlib.import_module(script).main(words)


def train_and_kill(log: Path, script: str, learner: str, *words: object, kill_at: int = 0):
    """Exit code of `run_with_signal` with SIGKILL, as a power cut has it."""
    arguments = ([str(w) for w in words], script, learner, kill_at, signal.SIGKILL, log)
    process = SERVER.Process(target=run_with_signal, args=arguments)
    process.start()
    process.join(240)
    return process.exitcode


def steady_lines(run: Path) -> list[dict]:
    """The lines of a run's metrics without clocks."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "second" not in k} for line in lines]


def tensorboard(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of all that a run's event files hold, in the order of their writing."""
    from tensorboard.compat.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(run.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            data = data[16 + length :]
    return found


def gloo(rank: int, port: int) -> dict[str, str]:
    """What torchrun would put into the environment of one of two processes on this machine."""
    return {
        "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def of_two_processes(member, seconds: float = 300) -> dict:
    """What each of two processes of one group put into the queue, by rank.

    member(rank, port, results), a function of a module: joins with `gloo(rank, port)` and puts
    (rank, value). AssertionError where one of them fails.
    """
    port, results = free_port(), SERVER.Queue()
    members = [SERVER.Process(target=member, args=(rank, port, results)) for rank in range(2)]
    for one in members:
        one.start()
    found = dict(results.get(timeout=seconds) for _ in members)
    for one in members:
        one.join(60)
        assert one.exitcode == 0
    return found


def two_runs(
    log: Path, script: str, learner: str, *words: object, told_at: int = 0, seconds: float = 300
) -> tuple[list[int | None], list[str]]:
    """A script on two processes, of which the second gets SIGTERM before its step `told_at`: their
    exit codes, and what each said (into log0 and log1)."""
    port, rest = free_port(), ([str(w) for w in words], script, learner, told_at, log)
    members = [SERVER.Process(target=_run_of_two, args=(rank, port, *rest)) for rank in range(2)]
    for one in members:
        one.start()
    for one in members:
        one.join(seconds)
        one.kill()
    return [m.exitcode for m in members], [Path(f"{log}{r}").read_text() for r in range(2)]


def _run_of_two(rank, port, words, script, learner, told_at, log):
    os.environ |= gloo(rank, port)
    at = told_at if rank == 1 else 0
    run_with_signal(words, script, learner, at, signal.SIGTERM, Path(f"{log}{rank}"))


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
