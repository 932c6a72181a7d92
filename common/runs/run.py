"""The iterators of a training script: they keep the run, the script keeps the loop.

In outline (`lra_e/torch_program.py` is a whole program):

    settings = RunSettings.of(options)
    with Run(settings, options.record(), learner, data=data, device=device) as run:
        for epoch in run.epochs():
            for images, labels in run.batches(train):
                run.add(learner.train_step(images, labels))
            run.evaluate("test", test)

What a learner is, of any framework, `common.backends.protocols.Learner` says.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from common.backends.protocols import Batch, Epochs, Learner, World
from common.backends.single_process import SingleProcess
from common.runs.directory import Configuration
from common.runs.loop import Loop
from common.runs.position import Position
from common.runs.running import Counting
from common.runs.settings import RunSettings
from common.runs.writer import Writer


class Run:
    """A run directory and where the run stands in it; see the module's docstring.

    settings, configuration   how the run is kept; what config.json records: name -> value of every
           option, as JSON has it
    name   of the run, beside the script's: usually script and rule
    best   metric of the epoch's line whose highest value the link `best` keeps
           (a leading "-": whose lowest)
    start_epoch, start_best  where a fresh run begins, and the best value of its metric by then:
           what came before is in the learner already
    data   what the run learns from: `checksums` of what was read, and, where it has them,
           `unverified` (the names of checksums that could be compared with none), `about` (a line
           that is printed) and `name` (else the option --dataset)
    world  processes that train along (`common.backends.torch_distributed`): each makes the same
           calls, and only the first one writes
    tags   name in the epoch's line -> the tag in TensorBoard that an original's users look for

    Entering chooses the directory, resumes or starts, and leaving writes summary.json. Raises
    UserError for a directory that cannot be used or a loss that is not finite; SystemExit 130 or
    143, after a checkpoint, for SIGINT and SIGTERM; SystemExit 0 for a finished run resumed.
    """

    def __init__(
        self,
        settings: RunSettings,
        configuration: Configuration,
        learner: Learner,
        *,
        data: Any,
        device: Any,
        name: str | None = None,
        best: str = "test_accuracy",
        start_epoch: int = 0,
        start_best: float | None = None,
        world: World | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.learner, self.name = learner, name or settings.name
        world = world or SingleProcess()
        self._counting = Counting(learner, world)
        known = {"metric": best.lstrip("-"), "value": start_best, "epoch": start_epoch}
        self._at = Position(self._counting, start_epoch, None if start_best is None else known)
        self._files = Writer(settings, configuration, learner, data, device, self.name, world)
        self._loop = Loop(settings, learner, world, self._files, self._at, best, tags or {})
        self.main, self.directory = self._files.main, self._files.directory
        self.audits = self._loop.audits

    def __enter__(self) -> "Run":
        self._files.hold()
        try:
            self._files.begin(self._at)
        except BaseException:
            self._files.release()
            raise
        self._loop.signals.watch()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._loop.signals.release()
        reason = self._at.stopped if error is None else (str(error) or kind.__name__)
        status = "finished" if error is None else "failed"
        if isinstance(error, SystemExit | KeyboardInterrupt):
            status, reason = "interrupted", self._loop.signals.name
        try:
            self._files.end(self._at, status, reason)
        except OSError:
            if error is None:  # else the first error is the one to tell
                raise
        finally:
            self._files.release()

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return self._at.epoch

    @property
    def batch(self) -> int:
        """Batches of this epoch."""
        return self._at.batch

    @property
    def step(self) -> int:
        """All steps, those before a resume included."""
        return self._at.step

    @property
    def history(self) -> list[dict[str, Any]]:
        """The epochs' lines so far, those before a resume included."""
        return self._files.history

    @property
    def seconds(self) -> float:
        """Spent in training batches so far, resumed parts included."""
        return self._at.seconds + self._at.epoch_seconds

    def epochs(self) -> Iterator[int]:
        """Epoch indices from where the run stands to the last one; each one ends with its line, its
        checkpoint and the answer to signals."""
        return self._loop.epochs()

    def batches(self, train: Epochs) -> Iterator[Batch]:
        """The training batches of this epoch, from where the run stands."""
        return self._loop.batches(train)

    def add(self, result: Sequence[Any]) -> None:
        """Add a training step's (mean loss, number correct, ...) to the epoch's metrics."""
        self._at.metrics.add(result, self._loop.images)

    def evaluate(self, name: str, batches: Iterable[Batch]) -> tuple[float, ...]:
        """Mean loss and accuracy (percent) over all of `batches`; logged as <name>_loss, ...

        Accuracies by the learner's further counts follow.
        """
        metrics = self._loop.evaluate(name, batches)
        self.log(**self._counting.figures(name, metrics))
        return metrics.loss, *metrics.shares

    def log(self, **numbers: float) -> None:
        """Add numbers to the epoch's line and to TensorBoard."""
        self._at.line |= {k: _finite(v) for k, v in numbers.items()}

    def train_figures(self) -> tuple[float, ...]:
        """As `evaluate`, of the epoch's training batches so far, each before its update."""
        whole = self._counting.whole(self._at.metrics)
        return whole.loss, *whole.shares

    def stop(self, reason: str) -> None:
        """End training after this epoch; the reason goes to summary.json."""
        self._at.stopped = reason

    def stalled(self, metric: str, patience: int) -> bool:
        """Whether the last `patience` epochs brought no new best value of a metric ("-": lowest).

        For a paper that stops early (BrainProp asks for Keras' definition instead,
        `brainprop.recipes.stalled`). Known from the lines of the run alone, so a resumed run stops
        where an unbroken one does.
        """
        sign = -1 if metric.startswith("-") else 1
        lines = [*self.history, self._at.line]
        values = [line[metric.lstrip("-")] for line in lines if metric.lstrip("-") in line]
        values = [-math.inf if v is None else sign * v for v in values]
        return len(values) > patience and max(values[-patience:]) <= max(values[:-patience])


def _finite(value: float) -> float | None:
    """JSON has no NaN: an undefined number is null."""
    number = float(value)
    return number if math.isfinite(number) else None
