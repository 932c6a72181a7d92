"""A run in this process without any framework: numpy tensors, a least-squares learner with momentum
and noise, and deaths at chosen places that leave what a power cut would leave."""

import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from common.errors import UserError
from common.runs import checkpoint, metrics_file
from common.runs.run import Run
from common.runs.settings import RunSettings

STEPS, EPOCHS, SIZE = 5, 3, 8


class Killed(BaseException):
    """What no handler of the program catches, as SIGKILL."""


class Backend:
    """What `common.runs.run` and `common.runs.checkpoint` ask of a framework, on numpy arrays."""

    NAME = "numpy"

    def __init__(self, seed: int = 1) -> None:
        self.random = np.random.PCG64(seed)

    def rng_state(self):
        inner = self.random.state["state"]
        words = [(inner[k] >> s) & (2**64 - 1) for k in ("state", "inc") for s in (0, 64)]
        return {"rng.cpu": np.array(words, np.uint64)}

    def load_rng_state(self, states):
        low, high, inc, more = (int(word) for word in states["rng.cpu"])
        inner = {"state": low | high << 64, "inc": inc | more << 64}
        state: Any = dict(self.random.state) | {"state": inner}
        self.random.state = state

    @staticmethod
    def is_tensor(value):
        return isinstance(value, np.ndarray)

    @staticmethod
    def describe(tensor):
        return {"shape": list(tensor.shape), "dtype": str(tensor.dtype), "memory_format": "C"}

    @staticmethod
    def identity(tensor):
        return id(tensor)

    @staticmethod
    def save_tensors(path, tensors):
        save_file(dict(tensors), path)

    @staticmethod
    def load_tensors(path):
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: not a whole safetensors file ({error})") from error

    @staticmethod
    def to_floats(values):
        return [float(value) for value in values]

    @staticmethod
    def to_numpy(tensor):
        return tensor

    @staticmethod
    def synchronise():
        pass

    @staticmethod
    def hardware(device):
        return {"device": "abacus", "threads": 1}


class Learner:
    """W learns labels from images by gradient, with a momentum and a noisy step; `shadow` is W."""

    counts = ("top5",)

    def __init__(self) -> None:
        self.backend = Backend()
        self.W = np.zeros((3, 2))
        self.momentum = np.zeros((3, 2))
        self.steps = 0

    def _loss(self, images, labels):
        error = images @ self.W - labels
        hits = int((np.abs(error).sum(1) < 1).sum())
        return error, (float((error**2).mean()), hits, min(len(images), hits + 2))

    def train_step(self, images, labels):
        error, result = self._loss(images, labels)
        noise = np.random.Generator(self.backend.random).normal(size=self.W.shape)
        self.momentum = 0.9 * self.momentum + images.T @ error / len(images) + 0.01 * noise
        self.W = self.W - 0.05 * self.momentum
        self.steps += 1
        return result

    def eval_step(self, images, labels):
        return self._loss(images, labels)[1]

    def credit(self, images, labels):
        np.random.Generator(self.backend.random).normal()  # the run must put the generator back
        error, _ = self._loss(images, labels)
        return {"W": (images.T @ error, images.T @ error)}

    def state(self):
        return {"W": self.W, "shadow": self.W, "momentum": self.momentum, "steps": self.steps}

    def load_state(self, state):
        assert state.keys() == self.state().keys()
        self.W, self.momentum = state["W"], state["momentum"]
        self.steps = state["steps"]


class Batches:
    """STEPS batches an epoch, of which the last is short; the epoch decides what they hold."""

    batch_size, n = SIZE, SIZE * STEPS - 3

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def sample(self, images, batch_size):
        """Those of the first epoch, whatever epoch it is."""
        batches = zip(range(images // batch_size), self.epoch(), strict=False)
        return [batch for _, batch in batches]

    def __len__(self):
        return STEPS

    def epoch(self, epoch=0, start=0):
        for batch in range(start, STEPS):
            random = np.random.default_rng((self.seed, epoch, batch))
            images = random.normal(size=(SIZE - 3 * (batch == STEPS - 1), 3))
            yield images, images @ np.array([[1.0, 0.0], [0.5, -1.0], [0.0, 2.0]])


def settings(directory: Path, resume: bool = False, **more) -> RunSettings:
    """What the command line makes of `--out DIR` or `--resume DIR`."""
    place = {"resume": directory} if resume else {"out": directory}
    about = {"paper": "toy", "script": "tests.toy", "name": "toy", "seed": 3, "epochs": EPOCHS}
    how = {"checkpoint_every": 2, "quiet": True, "precision": "float64", "deterministic": True}
    return RunSettings(**(about | how | place | more))


def train(
    directory: Path,
    resume: bool = False,
    *,
    learner: Learner | None = None,
    lr: float = 0.05,
    patience: int | None = None,
    **more,
) -> Run:
    """A run from its start, or from its checkpoint, to its end."""
    chosen = settings(directory, resume, **more)
    given = {k: str(v) if isinstance(v, Path) else v for k, v in vars(chosen).items()}
    given = {k: v for k, v in given.items() if k not in ("paper", "script", "name")}
    given |= {"dataset": "made", "rule": "gd", "lr": lr, "patience": patience}
    learner = learner or Learner()
    train_set, test_set = Batches(chosen.seed), list(Batches(99).epoch())
    data = SimpleNamespace(checksums={"made": "0"})
    run = Run(chosen, given, learner, data=data, device="cpu", best="-test_loss")
    try:
        with run:
            if run.step == 0:
                run.evaluate("test", test_set)
            for _ in run.epochs():
                for images, labels in run.batches(train_set):
                    run.add(learner.train_step(images, labels))
                run.evaluate("test", test_set)
                if patience and run.stalled("-test_loss", patience):
                    run.stop("no better test loss")
    except Killed:
        # A dead process writes no summary: what leaving the run wrote is taken away again.
        (directory / "summary.json").unlink(missing_ok=True)
        raise
    return run


@contextmanager
def death(monkeypatch, place: str, count: int):
    """Die at the count-th time that a run comes to a place (see `tests.runs.toy`)."""
    seen = 0

    def trap(owner, name, before=True, when=lambda *a: True, first=None):
        original = getattr(owner, name)

        def wrapped(*args, **named):
            nonlocal seen
            seen += bool(when(*args))
            deadly = seen == count and when(*args)
            if deadly and first:
                first(*args)
            if deadly and before:
                raise Killed
            result = original(*args, **named)
            if deadly:
                raise Killed
            return result

        patch.setattr(owner, name, staticmethod(wrapped) if owner is Backend else wrapped)

    def half(path, tensors):
        save_file(dict(tensors), path)
        os.truncate(path, path.stat().st_size // 2)

    with monkeypatch.context() as patch:
        # A killed process cleans nothing up.
        patch.setattr(checkpoint.shutil, "rmtree", _kept_while_dying(shutil.rmtree))
        if place == "step":
            trap(Learner, "train_step", before=False)
        elif place == "half":
            trap(Backend, "save_tensors", first=half)
        elif place == "tensors":
            trap(Backend, "save_tensors", before=False)
        elif place == "rename":
            trap(checkpoint.os, "rename", when=lambda source, target: ".writing-" in str(source))
        elif place == "link":
            trap(checkpoint.os, "replace", when=lambda s, target: str(target).endswith("last"))
        elif place == "metrics":
            trap(metrics_file.Metrics, "append", before=False)
        else:
            raise ValueError(place)
        yield


def _kept_while_dying(rmtree):
    def remove(path, *more, **named):
        if not isinstance(sys.exc_info()[1], Killed):
            rmtree(path, *more, **named)

    return remove
