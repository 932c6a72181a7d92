"""What the iterators of a run do between a script's own lines: batches, evaluations, epochs."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping

from tqdm import tqdm

from common.backends.protocols import Batch, Epochs, Learner, World
from common.credit.audit import Audits
from common.errors import UserError
from common.runs import checkpoint
from common.runs.position import Position
from common.runs.running import READ_EVERY, RunningMetrics
from common.runs.settings import RunSettings
from common.runs.signals import Signals
from common.runs.writer import Writer


class Loop:
    """Trains from where the run stands (`at`), which moves along; the rest as in
    `common.runs.run.Run`."""

    def __init__(
        self,
        settings: RunSettings,
        learner: Learner,
        world: World,
        files: Writer,
        at: Position,
        best: str,
        tags: Mapping[str, str],
    ) -> None:
        self._settings, self._learner, self._world = settings, learner, world
        self._files, self._at, self._metric, self._tags = files, at, best, tags
        self._started = 0.0  # when the clock was read last
        self.images = 0  # of the batch that the script has in hand
        self.signals = Signals(world)
        self.audits = Audits(settings.audit, settings.audit_every, settings.audit_images, learner)

    def epochs(self) -> Iterator[int]:
        """As `common.runs.run.Run.epochs`."""
        at, total = self._at, self._settings.epochs
        if at.step == 0 and at.line:
            self._end_line({})
        while at.epoch < total and not at.stopped:
            yield at.epoch
            at.epoch, at.batch = at.epoch + 1, 0
            self._finish_epoch()
            if self.signals.arrived(at.step, now=True):
                self._answer_signal()

    def batches(self, train: Epochs) -> Iterator[Batch]:
        """As `common.runs.run.Run.batches`."""
        at, audits, every = self._at, self.audits, self._settings.checkpoint_every
        self._started, total = time.perf_counter(), len(train)
        bar = tqdm(
            self._reading(train.epoch(at.epoch, at.batch), "training", save=True),
            desc=f"epoch {at.epoch + 1}",
            initial=at.batch,
            total=total,
            disable=True if self._settings.quiet or not self._files.main else None,
            leave=False,
            mininterval=0.5,
        )
        for images, labels in bar:
            if audits.asked and at.step == 0:
                self._started += self._audit(train)
            self.images = len(labels)
            yield images, labels
            at.batch, at.step = at.batch + 1, at.step + 1
            if at.step % READ_EVERY == 0:
                self._check_finite(at.metrics)
            if audits.due(at.step):
                self._started += self._audit(train)
            arrived = at.batch < total and self.signals.arrived(at.step)
            if arrived or (at.batch < total and every and at.step % every == 0):
                self._clock()
                self._files.save(at)
                if arrived:
                    self._answer_signal()
        self._clock()
        if audits.asked and not audits.every and at.batch:
            self._audit(train)

    def evaluate(self, name: str, batches: Iterable[Batch]) -> RunningMetrics:
        """Loss and counts over all of `batches`, in all processes."""
        metrics = self._at.counting.nothing()
        for images, labels in self._reading(batches, f"evaluating ({name})"):
            metrics.add(self._learner.eval_step(images, labels), len(labels))
        metrics = self._at.counting.whole(metrics)
        self._check_finite(metrics, f"of the {name} images after")
        return metrics

    def _reading(self, batches: Iterable[Batch], what: str, save: bool = False) -> Iterator[Batch]:
        """The batches. UserError, with the epoch, for data that turn out to be damaged: a run
        alone writes a checkpoint first, so that it goes on where it stands once they are mended."""
        try:
            yield from batches
        except UserError as error:
            if (
                save and self._at.batch and self._world.size == 1
            ):  # others would wait for the metrics
                self._clock()
                self._files.save(self._at)
            newest = checkpoint.newest(self._files.directory)
            raise UserError(
                f"{error} (met in epoch {self._at.epoch + 1} while {what}; the last whole "
                f"checkpoint is {newest})"
            ) from error

    def _check_finite(self, metrics: RunningMetrics, where: str = "in") -> None:
        if metrics.images and not math.isfinite(metrics.loss):
            newest = checkpoint.newest(self._files.directory)
            raise UserError(
                f"training stopped: the loss is {metrics.loss} {where} epoch {self._at.epoch + 1}, "
                f"by step {self._at.step}; the last whole checkpoint is {newest}"
            )

    def _clock(self) -> None:
        self._learner.backend.synchronise()
        now = time.perf_counter()
        self._at.epoch_seconds += now - self._started
        self._started = now
        self._check_finite(self._at.metrics)

    def _finish_epoch(self) -> None:
        at, figures = self._at, {}
        whole = at.counting.whole(at.metrics)
        if whole.images:
            figures = at.counting.figures("train", whole)
            figures["seconds"] = round(at.epoch_seconds, 4)
            figures["images_per_second"] = round(whole.images / max(at.epoch_seconds, 1e-9), 1)
        at.next_epoch()
        best = self._end_line(figures)
        self._files.save(at, *(("best",) if best else ()))

    def _end_line(self, figures: dict[str, float]) -> bool:
        """Write the epoch's line; whether it is the best one so far."""
        at = self._at
        position = {"kind": "epoch", "epoch": at.epoch, "step": at.step}
        line, at.line = {**position, **figures, **at.line}, {}
        self._files.append(line)
        self._files.scalars(line, self._tags)
        return self._files.main and at.improved(line, self._metric)

    def _audit(self, train: Epochs) -> float:
        """A line of credit angles; the seconds that it took, which are none of training's."""
        began = time.perf_counter()
        line = {"kind": "audit", "epoch": self._at.epoch, "step": self._at.step}
        self._files.append(line | self.audits.measure(train))
        return time.perf_counter() - began

    def _answer_signal(self) -> None:
        number, name = self.signals.number, self.signals.name
        say = f"{name}: checkpoint written; --resume {self._files.directory} goes on"
        self._files.say(say, err=True)
        raise SystemExit(128 + (number or 0))
