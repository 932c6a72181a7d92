"""The iterators of a training script: they keep the run, the script keeps the loop.

In outline (`lra_e/torch_program.py` is a whole program):

    with Run(options, learner, data=data, device=device) as run:
        for epoch in run.epochs(options.epochs):
            for images, labels in run.batches(train):
                run.add(learner.train_step(images, labels))
            run.evaluate("test", test)

A learner (of any framework) has

    backend                    `common.backends.torch_backend` or `common.backends.tf_backend`
    train_step(images, labels) -> (mean loss, number correct) of the batch, as device scalars
    eval_step(images, labels)  -> the same, changing nothing
    state(), load_state(dict)  everything that training changes, under structural names
    credit(images, labels)     layer -> (update, true gradient), changing nothing; for --audit
    feedback()                 optional: layer -> (forward, feedback weights) in one layout
    parameters()               optional: how many numbers learn
    rule                       optional: its name, where no option of the script says it
    counts                     optional: names of what the two steps count beside the number correct
                               ("top5",): they return that too, and it is logged as an accuracy
"""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tqdm import tqdm

from common.backends.single_process import Alone
from common.credit.audit import Audits
from common.errors import UserError
from common.runs import checkpoint
from common.runs.position import Position
from common.runs.running import READ_EVERY, Counting, Sums
from common.runs.signals import Signals
from common.runs.writer import Writer


class Epochs(Protocol):
    """Training batches, as `common.data.batches` and `common.data.torch_stream` make them."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[Any, Any]]:
        """Those of an epoch, from batch `start`."""


class Run:
    """A run directory and where the run stands in it; see the module's docstring.

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
        options: Any,
        learner: Any,
        *,
        data: Any,
        device: Any,
        name: str | None = None,
        best: str = "test_accuracy",
        start_epoch: int = 0,
        start_best: float | None = None,
        world: Any = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.options, self.learner, self._metric = options, learner, best
        self.name, self._tags = name or options.name, tags or {}
        self._world = world or Alone()
        self._signals = Signals(self._world)
        self._counting = Counting(learner, self._world)
        known = {"metric": best.lstrip("-"), "value": start_best, "epoch": start_epoch}
        self._at = Position(self._counting, start_epoch, None if start_best is None else known)
        self._files = Writer(options, learner, data, device, self.name, self._world)
        self.main, self.directory = self._files.main, self._files.directory
        self._started = 0.0  # when the clock was read last
        self.audits = Audits(options, learner)

    def __enter__(self) -> "Run":
        self._files.hold()
        try:
            self._files.begin(self._at)
        except BaseException:
            self._files.release()
            raise
        self._signals.watch()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._signals.release()
        reason = self._at.stopped if error is None else (str(error) or kind.__name__)
        status = "finished" if error is None else "failed"
        if isinstance(error, SystemExit | KeyboardInterrupt):
            status, reason = "interrupted", self._signals.name
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

    def epochs(self, total: int) -> Iterator[int]:
        """Epoch indices from where the run stands to total - 1; each one ends with its line,
        its checkpoint and the answer to signals."""
        if self.step == 0 and self._at.line:
            self._end_line({})
        while self.epoch < total and not self._at.stopped:
            yield self.epoch
            self._at.epoch, self._at.batch = self.epoch + 1, 0
            self._finish_epoch()
            if self._signals.told(self.step, now=True):
                self._answer_signal()

    def batches(self, train: Epochs) -> Iterator[tuple[Any, Any]]:
        """The training batches of this epoch, from where the run stands."""
        every = self.options.checkpoint_every
        self._started, total = time.perf_counter(), len(train)
        source = self._reading(train.epoch(self.epoch, self.batch), "training", save=True)
        bar = tqdm(
            source,
            desc=f"epoch {self.epoch + 1}",
            initial=self.batch,
            total=total,
            disable=True if self.options.quiet or not self.main else None,
            leave=False,
            mininterval=0.5,
        )
        for images, labels in bar:
            if self.audits.asked and self.step == 0:
                self._started += self._audit(train)
            self._count = len(labels)
            yield images, labels
            self._at.batch, self._at.step = self.batch + 1, self.step + 1
            if self.step % READ_EVERY == 0:
                self._check_finite()
            if self.audits.due(self.step):
                self._started += self._audit(train)
            told = self.batch < total and self._signals.told(self.step)
            if told or (self.batch < total and every and self.step % every == 0):
                self._clock()
                self._files.save(self._at)
                if told:
                    self._answer_signal()
        self._clock()
        if self.audits.asked and not self.audits.every and self.batch:
            self._audit(train)

    def add(self, result: Sequence[Any]) -> None:
        """Add a training step's (mean loss, number correct, ...) to the epoch's sums."""
        self._at.sums.add(result, self._count)

    def evaluate(self, name: str, batches: Iterable[tuple[Any, Any]]) -> tuple[float, ...]:
        """Mean loss and accuracy (percent) over all of `batches`; logged as <name>_loss, ...

        Accuracies by the learner's further counts follow.
        """
        sums = self._counting.nothing()
        for images, labels in self._reading(batches, f"evaluating ({name})"):
            sums.add(self.learner.eval_step(images, labels), len(labels))
        sums = self._counting.whole(sums)
        self._check_finite(sums, f"of the {name} images after")
        self.log(**self._counting.figures(name, sums))
        return sums.loss, *sums.shares

    def log(self, **numbers: float) -> None:
        """Add numbers to the epoch's line and to TensorBoard."""
        self._at.line |= {k: _finite(v) for k, v in numbers.items()}

    def train_figures(self) -> tuple[float, ...]:
        """As `evaluate`, of the epoch's training batches so far, each before its update."""
        whole = self._counting.whole(self._at.sums)
        return whole.loss, *whole.shares

    def stop(self, reason: str) -> None:
        """End training after this epoch; the reason goes to summary.json."""
        self._at.stopped = reason

    def stalled(self, metric: str, patience: int) -> bool:
        """Whether the last `patience` epochs brought no new best value of a metric ("-": lowest).

        Known from the lines of the run alone, so a resumed run stops where an unbroken one does.
        """
        sign = -1 if metric.startswith("-") else 1
        lines = [*self.history, self._at.line]
        values = [line[metric.lstrip("-")] for line in lines if metric.lstrip("-") in line]
        values = [-math.inf if v is None else sign * v for v in values]
        return len(values) > patience and max(values[-patience:]) <= max(values[:-patience])

    def _check_finite(self, sums: Sums | None = None, where: str = "in") -> None:
        sums = self._at.sums if sums is None else sums
        if sums.images and not math.isfinite(sums.loss):
            newest = checkpoint.newest(self.directory)
            raise UserError(
                f"training stopped: the loss is {sums.loss} {where} epoch {self.epoch + 1}, "
                f"by step {self.step}; the last whole checkpoint is {newest}"
            )

    def _clock(self) -> None:
        self.learner.backend.synchronise()
        now = time.perf_counter()
        self._at.epoch_seconds += now - self._started
        self._started = now
        self._check_finite()

    def _reading(self, batches: Iterable[Any], what: str, save: bool = False) -> Iterator[Any]:
        """The batches. UserError, with the epoch, for data that turn out to be damaged: a run
        alone writes a checkpoint first, so that it goes on where it stands once they are mended."""
        try:
            yield from batches
        except UserError as error:
            if save and self.batch and self._world.size == 1:  # others would wait for the sums
                self._clock()
                self._files.save(self._at)
            newest = checkpoint.newest(self.directory)
            raise UserError(
                f"{error} (met in epoch {self.epoch + 1} while {what}; the last whole checkpoint "
                f"is {newest})"
            ) from error

    def _finish_epoch(self) -> None:
        figures: dict[str, Any] = {}
        whole = self._counting.whole(self._at.sums)
        if whole.images:
            seconds = self._at.epoch_seconds
            figures |= self._counting.figures("train", whole)
            figures["seconds"] = round(seconds, 4)
            figures["images_per_second"] = round(whole.images / max(seconds, 1e-9), 1)
        self._at.next_epoch()
        best = self._end_line(figures)
        self._files.save(self._at, *(("best",) if best else ()))

    def _end_line(self, figures: dict[str, Any]) -> bool:
        """Write the epoch's line; whether it is the best one so far."""
        place = {"kind": "epoch", "epoch": self.epoch, "step": self.step}
        line, self._at.line = {**place, **figures, **self._at.line}, {}
        self._files.append(line)
        self._files.scalars(line, self._tags)
        return self.main and self._at.improved(line, self._metric)

    def _audit(self, train: Any) -> float:
        """A line of credit angles; the seconds that it took, which are none of training's."""
        began = time.perf_counter()
        line = {"kind": "audit", "epoch": self.epoch, "step": self.step}
        self._files.append(line | self.audits.measure(train))
        return time.perf_counter() - began

    def _answer_signal(self) -> None:
        number, name = self._signals.number, self._signals.name
        self._files.say(f"{name}: checkpoint written; --resume {self.directory} goes on", err=True)
        raise SystemExit(128 + (number or 0))


def _finite(value: float) -> float | None:
    """JSON has no NaN: an undefined number is null."""
    number = float(value)
    return number if math.isfinite(number) else None
