"""A small training script for the tests of runs: digits, dropout, momenta, in either framework.

KILL=place:count in the environment ends the process with SIGKILL at that place:

    step       right after the count-th training step
    half       in the midst of writing the count-th checkpoint's tensors: half a file is there
    tensors    after the tensors of the count-th checkpoint, before the rest
    rename     before the count-th checkpoint gets its name
    link       between the checkpoint's name and its links
    summary    at the very end, with only the summary to be written
    metrics    after the count-th line of metrics.jsonl, before its checkpoint
"""

import os
import signal
from importlib import import_module

from common.cli import command, option
from common.cli.training_options import TrainingOptions, training_options


@training_options(epochs=3, seed=5)
class ToyOptions(TrainingOptions):
    """What `toy` takes."""

    framework: str = option(type=["torch", "tensorflow"], default="torch")
    lr: float = option(type=float, default=0.01)
    size: int = option(type=int, default=40)
    patience: int | None = option(type=int)


@command(ToyOptions, paper="toy", name="toy")
def main(options: ToyOptions):
    """Train a toy."""
    run(options)


def run(options):
    prefix, last = {"torch": ("torch", "Torch"), "tensorflow": ("tf", "TF")}[options.framework]
    backend = import_module(f"common.backends.{prefix}_backend")
    Batches = getattr(import_module(f"common.data.{prefix}_batches"), f"{last}Batches")
    Learner = import_module(f"tests.runs.toy_{prefix}").Learner
    from common.data import datasets
    from common.runs.run import Run
    from common.runs.settings import RunSettings

    data = datasets.load("digits")
    device = backend.set_up(options.device, options.seed, options.threads, options.deterministic)
    learner = Learner(options.lr)
    arm(backend, learner)
    train = Batches(
        data.train.limit(200), options.size, shuffle=True, seed=options.seed, layout="flat",
        pad=1, flip=True,
    )  # fmt: skip
    test = Batches(data.test.limit(100), 100, layout="flat")
    settings = RunSettings.of(options)
    with Run(settings, options.record(), learner, data=data, device=device) as run:
        if run.step == 0:
            run.evaluate("test", test)
        for _epoch in run.epochs():
            for images, labels in run.batches(train):
                run.add(learner.train_step(images, labels))
            run.evaluate("test", test)
            if options.patience and run.stalled("test_accuracy", options.patience):
                run.stop(f"no better test accuracy in {options.patience} epochs")


def arm(backend, learner):
    """Set the trap that KILL names."""
    place, _, count = os.environ.get("KILL", "").partition(":")
    seen = 0

    def trap(owner, name, here=lambda *a: True, before=True, first=None):
        original = getattr(owner, name)

        def wrapped(*args, **named):
            nonlocal seen
            seen += bool(here(*args))
            deadly = here(*args) and seen == int(count)
            if deadly and first:
                first(*args)
            if deadly and before:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*args, **named)
            if deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, wrapped)

    def half(path, tensors):
        saved(path, tensors)
        os.truncate(path, path.stat().st_size // 2)

    saved = backend.save_tensors
    if place == "step":
        trap(learner, "train_step", before=False)
    elif place == "half":
        trap(backend, "save_tensors", first=half)
    elif place == "tensors":
        trap(backend, "save_tensors", before=False)
    elif place == "rename":
        trap(os, "rename", lambda source, target: ".writing-" in str(source))
    elif place == "link":
        trap(os, "replace", lambda source, target: str(target).endswith("last"))
    elif place == "summary":
        from common.runs import writer

        trap(writer, "write_json", lambda path, document: path.name == "summary.json")
    elif place == "metrics":
        from common.runs.metrics_file import Metrics

        trap(Metrics, "append", before=False)
    elif place == "nan":
        learner.poison_at = int(count)
    elif place:
        raise ValueError(place)


if __name__ == "__main__":
    main()
