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

import click
from tqdm import tqdm

from common.backends.single_process import Alone
from common.credit.audit import Audits
from common.errors import UserError
from common.files import documents
from common.runs import checkpoint, directory, environment
from common.runs.event_file import Events
from common.runs.metrics_file import Metrics
from common.runs.running import READ_EVERY, Sums
from common.runs.signals import Signals


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
        self.options, self.learner, self.best_metric = options, learner, best
        self._tags = tags or {}
        self._world = world or Alone()
        self.main = self._world.main
        self.name = name or options.name
        self._data, self._dataset = data, getattr(data, "name", None)
        self._device = device
        self.directory = directory.choose(options, self.name)
        self.epoch = start_epoch  # completed epochs
        self.batch = self.step = 0  # batches of this epoch; all steps
        self._further = tuple(getattr(learner, "counts", ()))
        self._sums = self._no_sums()  # of this epoch's training batches
        self._seconds = self._epoch_seconds = 0.0  # of completed epochs; of this one's batches
        self._started = 0.0  # when the clock was read last
        self._best: dict[str, Any] | None = None
        if start_best is not None:
            self._best = {"metric": best.lstrip("-"), "value": start_best, "epoch": start_epoch}
        self._line: dict[str, Any] = {}  # what the script logs for the epoch's line
        self._signals = Signals(self._world)
        self._stop: str | None = None
        self.audits = Audits(options, learner)

    # -- entering and leaving -------------------------------------------------------------------

    def __enter__(self) -> "Run":
        self._lock = directory.lock(self.directory) if self.main else None
        try:
            self._start()
        except BaseException:
            if self._lock:
                self._lock.release()
            raise
        self._signals.watch()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._signals.release()
        reason = None if error is None else (str(error) or kind.__name__)
        status = "finished" if error is None else "failed"
        if isinstance(error, SystemExit | KeyboardInterrupt):
            status, reason = "interrupted", self._signals.name
        try:
            if self.main:
                self._write_summary(status, self._stop if error is None else reason)
                self._metrics.close()
                self._events.close()
        except OSError:
            if error is None:  # else the first error is the one to tell
                raise
        finally:
            if self._lock:
                self._lock.release()

    def _start(self) -> None:
        document = directory.config(self.options, self.name, self._dataset)
        if about := getattr(self._data, "about", None):
            self._say(about)
        goes_on = directory.resumed(self.options)
        found = checkpoint.newest(self.directory) if goes_on else None
        if not goes_on and self.main:
            directory.refuse_another(self.directory, document)
            if earlier := directory.set_aside(self.directory):
                self._say(f"an earlier record without checkpoints is kept in {earlier}", err=True)
        remembered = checkpoint.load(found, self.learner) if found else None
        if remembered:
            # Everything is read and checked before anything of the run is touched.
            position = documents.position(len(self._no_sums().state()))
            documents.check(remembered, position, f"{found}/state.json: run")
            environment.recorded(self.directory)
            self.epoch, self.batch, self.step = (remembered[k] for k in ("epoch", "batch", "step"))
            self._sums.load_states(self._own_sums(remembered["sums"]))
            self._seconds, self._epoch_seconds = remembered["seconds"]
            self._line, self._best = remembered["line"], remembered["best"]
            self._stop = remembered["stopped"]
            if self._stop or (self.epoch >= self.options.epochs and not self.batch):
                self._finish_again(remembered["metrics_bytes"])
            where = f"epoch {self.epoch}, batch {self.batch}"
            self._say(f"resuming {self.directory} at {where}")
        kept = remembered["metrics_bytes"] if remembered else 0
        self._metrics = Metrics(self.directory / "metrics.jsonl", kept, write=self.main)
        if self.main:
            self._describe(document, remembered)
        if not remembered:
            self._save(())

    def _describe(self, document: dict[str, Any], remembered: dict[str, Any] | None) -> None:
        checkpoint.write_json(self.directory / "config.json", document)
        now = environment.now(self.options, self.learner.backend, self._device, self._data)
        for change in environment.record(self.directory, now, self.step if remembered else None):
            click.echo(f"warning: bits may differ from an unbroken run: {change}", err=True)
        self._events = Events(self.directory, self.epoch + 1 if remembered else None)

    def _say(self, line: str, err: bool = False) -> None:
        if self.main:
            click.echo(line, err=err)

    def _finish_again(self, kept: int) -> None:
        """A finished run resumed: it may have been killed before its summary was written."""
        if self.main:
            self._metrics = Metrics(self.directory / "metrics.jsonl", kept)
            self._write_summary("finished", self._stop)
            self._metrics.close()
        self._say(f"{self.directory}: this run is finished ({self.epoch} epochs)")
        raise SystemExit(0)

    def _write_summary(self, status: str, reason: str | None) -> None:
        count = getattr(self.learner, "parameters", None)
        summary: dict[str, Any] = {"status": status, "reason": reason}
        summary |= directory.labels(self.options, self.name, self._dataset)
        summary["rule"] = summary["rule"] or getattr(self.learner, "rule", None)
        summary |= {
            "epochs": self.epoch,
            "step": self.step,
            "seconds": round(self.seconds, 3),
            "parameters": count() if count else None,
            "final": self.history[-1] if self.history else None,
            "best": self._best,
        }
        checkpoint.write_json(self.directory / "summary.json", summary)

    # -- the loop -------------------------------------------------------------------------------

    @property
    def history(self) -> list[dict[str, Any]]:
        """The epochs' lines so far, those before a resume included."""
        return [line for line in self._metrics.lines if line["kind"] == "epoch"]

    @property
    def seconds(self) -> float:
        """Spent in training batches so far, resumed parts included."""
        return self._seconds + self._epoch_seconds

    def epochs(self, total: int) -> Iterator[int]:
        """Epoch indices from where the run stands to total - 1; each one ends with its line,
        its checkpoint and the answer to signals."""
        if self.step == 0 and self._line:
            self._end_epoch_line(self.epoch, {})
        while self.epoch < total and not self._stop:
            yield self.epoch
            self.epoch, self.batch = self.epoch + 1, 0
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
            self.batch, self.step = self.batch + 1, self.step + 1
            if self.step % READ_EVERY == 0:
                self._check_finite()
            if self.audits.due(self.step):
                self._started += self._audit(train)
            told = self.batch < total and self._signals.told(self.step)
            if told or (self.batch < total and every and self.step % every == 0):
                self._clock()
                self._save(())
                if told:
                    self._answer_signal()
        self._clock()
        if self.audits.asked and not self.audits.every and self.batch:
            self._audit(train)

    def add(self, result: Sequence[Any]) -> None:
        """Add a training step's (mean loss, number correct, ...) to the epoch's sums."""
        self._sums.add(result, self._count)

    def evaluate(self, name: str, batches: Iterable[tuple[Any, Any]]) -> tuple[float, ...]:
        """Mean loss and accuracy (percent) over all of `batches`; logged as <name>_loss, ...

        Accuracies by the learner's further counts follow.
        """
        sums = self._no_sums()
        for images, labels in self._reading(batches, f"evaluating ({name})"):
            sums.add(self.learner.eval_step(images, labels), len(labels))
        sums = self._over_processes(sums)
        self._check_finite(sums, f"of the {name} images after")
        self.log(**self._figures(name, sums))
        return sums.loss, *sums.shares

    def log(self, **numbers: float) -> None:
        """Add numbers to the epoch's line and to TensorBoard."""
        self._line |= {k: _finite(v) for k, v in numbers.items()}

    def train_figures(self) -> tuple[float, ...]:
        """As `evaluate`, of the epoch's training batches so far, each before its update."""
        whole = self._over_processes(self._sums)
        return whole.loss, *whole.shares

    def stop(self, reason: str) -> None:
        """End training after this epoch; the reason goes to summary.json."""
        self._stop = reason

    def stalled(self, metric: str, patience: int) -> bool:
        """Whether the last `patience` epochs brought no new best value of a metric ("-": lowest).

        Known from the lines of the run alone, so a resumed run stops where an unbroken one does.
        """
        sign = -1 if metric.startswith("-") else 1
        lines = [*self.history, self._line]
        values = [line[metric.lstrip("-")] for line in lines if metric.lstrip("-") in line]
        values = [-math.inf if v is None else sign * v for v in values]
        return len(values) > patience and max(values[-patience:]) <= max(values[:-patience])

    def _over_processes(self, sums: Sums) -> Sums:
        return self._no_sums().load_states(self._world.gather(sums.state()))

    def _no_sums(self) -> Sums:
        return Sums(self.learner.backend.to_floats, len(self._further))

    def _figures(self, name: str, sums: Sums) -> dict[str, float]:
        accuracy, *more = sums.shares
        further = {
            f"{name}_{what}_accuracy": share
            for what, share in zip(self._further, more, strict=True)
        }
        return {f"{name}_loss": sums.loss, f"{name}_accuracy": accuracy, **further}

    def _own_sums(self, stored: list[list[float]]) -> list[list[float]]:
        """This process's share of a checkpoint's sums; the first takes what has no process."""
        world = self._world
        return stored[world.rank :: world.size] or [self._no_sums().state()]

    # -- what the iterators do ------------------------------------------------------------------

    def _check_finite(self, sums: Sums | None = None, where: str = "in") -> None:
        sums = self._sums if sums is None else sums
        if sums.images and not math.isfinite(sums.loss):
            newest = checkpoint.newest(self.directory)
            raise UserError(
                f"training stopped: the loss is {sums.loss} {where} epoch {self.epoch + 1}, "
                f"by step {self.step}; the last whole checkpoint is {newest}"
            )

    def _clock(self) -> None:
        self.learner.backend.synchronise()
        now = time.perf_counter()
        self._epoch_seconds += now - self._started
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
                self._save(())
            newest = checkpoint.newest(self.directory)
            raise UserError(
                f"{error} (met in epoch {self.epoch + 1} while {what}; the last whole checkpoint "
                f"is {newest})"
            ) from error

    def _finish_epoch(self) -> None:
        line: dict[str, Any] = {}
        whole = self._over_processes(self._sums)
        if whole.images:
            seconds = self._epoch_seconds
            line |= self._figures("train", whole)
            line["seconds"] = round(seconds, 4)
            line["images_per_second"] = round(whole.images / max(seconds, 1e-9), 1)
        self._seconds, self._epoch_seconds = self._seconds + self._epoch_seconds, 0.0
        self._sums = self._no_sums()
        improved = self._end_epoch_line(self.epoch, line)
        self._save(("best",) if improved else ())

    def _end_epoch_line(self, epoch: int, line: dict[str, Any]) -> bool:
        line = {"kind": "epoch", "epoch": epoch, "step": self.step, **line, **self._line}
        self._line = {}
        self._metrics.append(line)
        if not self.main:
            return False
        numbers = {k: v for k, v in line.items() if isinstance(v, float) and k != "seconds"}
        self._events.scalars(epoch, {self._tags.get(k, k): v for k, v in numbers.items()})
        metric, sign = self.best_metric.lstrip("-"), -1 if self.best_metric[0] == "-" else 1
        value: float | None = line.get(metric)
        if value is None or (self._best and sign * value <= sign * self._best["value"]):
            return False
        self._best = {"metric": metric, "value": value, "epoch": epoch}
        return True

    def _save(self, links: tuple[str, ...]) -> None:
        sums = self._world.gather(self._sums.state())
        if not self.main:
            return
        document = {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "sums": sums,
            "seconds": [self._seconds, self._epoch_seconds],
            "line": self._line,
            "best": self._best,
            "stopped": self._stop,
            "metrics_bytes": self._metrics.size,
        }
        checkpoint.save(self.directory, self.step, self.learner, document, ("last", *links))

    def _audit(self, train: Any) -> float:
        """A line of credit angles; the seconds that it took, which are none of training's."""
        began = time.perf_counter()
        line = {"kind": "audit", "epoch": self.epoch, "step": self.step}
        self._metrics.append(line | self.audits.measure(train))
        return time.perf_counter() - began

    def _answer_signal(self) -> None:
        number, name = self._signals.number, self._signals.name
        self._say(f"{name}: checkpoint written; --resume {self.directory} goes on", err=True)
        raise SystemExit(128 + (number or 0))


def _finite(value: float) -> float | None:
    """JSON has no NaN: an undefined number is null."""
    number = float(value)
    return number if math.isfinite(number) else None
