"""Processes of their own without their imports: real ones to signal, limit, kill and read.

A server that has the frameworks imported already (those that are installed) forks them, which
saves each the seconds that the imports take."""

import importlib
import multiprocessing
import os
import resource
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).parents[2]
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


def speak_into(out: Path, err: Path | None = None) -> None:
    """What this process prints goes to a file, or to two, from now on."""
    for path, number in ((out, 1), (err, 2)):
        os.dup2(1 if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)


def run_with_signal(
    words: list[str], script: str, learner: str, at: int, number: int, log: Path
) -> None:
    """In a process of its own: run a script that gets a signal before step `at` (0: never).

    script, learner   modules with `main`, and with `Learner`
    """
    speak_into(log)
    made, calls = importlib.import_module(learner).Learner, []

    def strike(each: Any) -> None:
        step = each.train_step

        def struck(self, images, labels):
            calls.append(1)
            if len(calls) == at:
                os.kill(os.getpid(), number)
            return step(self, images, labels)

        each.train_step = struck

    for each in get_args(made) or (made,):  # Burstprop's is one of several
        strike(each)
    importlib.import_module(script).main(words)


def train_and_kill(log: Path, script: str, learner: str, *words: object, kill_at: int = 0):
    """Exit code of `run_with_signal` with SIGKILL, as a power cut has it."""
    arguments = ([str(w) for w in words], script, learner, kill_at, signal.SIGKILL, log)
    process = SERVER.Process(target=run_with_signal, args=arguments)
    process.start()
    process.join(240)
    return process.exitcode


class Script:
    """`python -m MODULE WORDS`, or `python FILE WORDS`, in a process that the server forks.

    module        run as __main__ (its own code is imported anew, what it imports is not)
    cwd           the folder that it starts in
    environment   variables to add
    limit         the most bytes that a file may have (RLIMIT_FSIZE)
    missing       a package that cannot be imported, as if it were not installed
    """

    def __init__(
        self,
        module: str,
        *words: object,
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        limit: int | None = None,
        missing: str | None = None,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._output = [Path(self._folder.name, name) for name in ("out", "err")]
        request = (
            module,
            [str(word) for word in words],
            cwd,
            dict(environment or {}),
            limit,
            missing,
        )
        self.process = SERVER.Process(target=_script, args=(*request, *self._output))
        self.process.start()

    def wait(self, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Exit code and what it said. TimeoutError (it is killed then) after so many seconds."""
        self.process.join(timeout)
        if (code := self.process.exitcode) is None:
            self.process.kill()
            raise TimeoutError(f"{self.process.name} runs on and on")
        texts = [path.read_text() if path.exists() else "" for path in self._output]
        self._folder.cleanup()
        return subprocess.CompletedProcess(self.process.name, code, *texts)


def run_script(module: str, *words: object, cwd: Path, **more) -> subprocess.CompletedProcess[str]:
    """A `Script`, run to its end."""
    return Script(module, *words, cwd=cwd, **more).wait()


def as_script(words: list[str], stdout, **_: object) -> subprocess.CompletedProcess[str]:
    """`subprocess.run` of `[python, "-m", module, ...]`, by the server; all it says to `stdout`."""
    assert words[:2] == [sys.executable, "-m"]
    done = run_script(*words[2:], cwd=Path.cwd())
    stdout.write((done.stdout + done.stderr).encode())
    return done


def _script(module, words, folder, environment, limit, missing, out, err):
    speak_into(out, err)
    os.chdir(folder)
    os.environ.update(environment)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if missing is not None:
        assert missing not in sys.modules, "the server has imported it already"
        sys.modules |= dict.fromkeys([missing])  # None: an import of it fails
    sys.argv = [module, *words]
    if module.endswith(".py"):
        sys.path.insert(0, str(Path(module).resolve().parent))
        runpy.run_path(module, run_name="__main__")
    else:
        sys.modules.pop(module, None)
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def gloo(rank: int, port: int) -> dict[str, str]:
    """What torchrun would put into the environment of one of two processes on this machine."""
    return {
        "WORLD_SIZE": "2",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "GLOO_SOCKET_IFNAME": "lo",
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def torchrun(module: str, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A script on two processes that PyTorch's own launcher starts."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launcher += ["--master-addr", "127.0.0.1", "--master-port", str(free_port()), "-m", module]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    environment |= {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT)}
    command = [*launcher, *map(str, words)]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240
    )


def of_two_processes(member, seconds: float = 300) -> dict:
    """What each of two processes of one group put into the queue, by rank.

    member(rank, port, results), a function of a module: joins with `gloo(rank, port)` and puts
    (rank, value). AssertionError where one of them fails.
    """
    port, results = free_port(), SERVER.Queue()
    members = [SERVER.Process(target=member, args=(rank, port, results)) for rank in range(2)]
    for one in members:
        one.start()
    answers = dict(results.get(timeout=seconds) for _ in members)
    for one in members:
        one.join(60)
        assert one.exitcode == 0
    return answers


def two_runs(
    log: Path, script: str, learner: str, *words: object, signal_at: int = 0, seconds: float = 300
) -> tuple[list[int | None], list[str]]:
    """A script on two processes, the second of which gets SIGTERM before step `signal_at`: their
    exit codes, and what each said (into log0 and log1)."""
    port, rest = free_port(), ([str(w) for w in words], script, learner, signal_at, log)
    members = [SERVER.Process(target=_run_of_two, args=(rank, port, *rest)) for rank in range(2)]
    for one in members:
        one.start()
    for one in members:
        one.join(seconds)
        one.kill()
    return [m.exitcode for m in members], [Path(f"{log}{r}").read_text() for r in range(2)]


def _run_of_two(rank, port, words, script, learner, signal_at, log):
    os.environ |= gloo(rank, port)
    at = signal_at if rank == 1 else 0
    run_with_signal(words, script, learner, at, signal.SIGTERM, Path(f"{log}{rank}"))
