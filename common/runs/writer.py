"""What a run writes while it goes on: its directory, from the lock to the summary."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import filelock

from common.backends.protocols import Counted, Learner, World
from common.files.writing import write_json
from common.runs import checkpoint, directory, environment
from common.runs.event_file import Events
from common.runs.metrics_file import Metrics
from common.runs.position import Position
from common.runs.settings import RunSettings


class Writer:
    """The files of a run. Of several processes each makes the same calls, and only the first one
    (`world.main`) writes; arguments are those of `common.runs.run.Run`."""

    def __init__(
        self,
        settings: RunSettings,
        configuration: directory.Configuration,
        learner: Learner,
        data: Any,
        device: Any,
        name: str,
        world: World,
    ) -> None:
        self._settings, self._configuration, self._learner = settings, configuration, learner
        self._data, self._dataset, self._device = data, getattr(data, "name", None), device
        self._name = name
        self._lock: filelock.FileLock | None = None
        self.main: bool = world.main
        self.directory: Path = directory.choose(settings, name)

    def hold(self) -> None:
        """Make the directory and keep other processes out. UserError where that cannot be."""
        self._lock = directory.lock(self.directory) if self.main else None

    def release(self) -> None:
        """Let others in again."""
        if self._lock:
            self._lock.release()

    def begin(self, at: Position) -> None:
        """Resume, which moves `at`, or start with a first checkpoint. UserError for a directory
        that cannot be used; SystemExit 0 for a finished run resumed."""
        document = directory.config(self._settings, self._configuration, self._name, self._dataset)
        if about := getattr(self._data, "about", None):
            self.say(about)
        goes_on = directory.resumed(self._settings)
        last = checkpoint.newest(self.directory) if goes_on else None
        if not goes_on and self.main:
            directory.refuse_another(self.directory, document)
            if earlier := directory.set_aside(self.directory):
                self.say(f"an earlier record without checkpoints is kept in {earlier}", err=True)
        remembered = checkpoint.load(last, self._learner) if last else None
        if remembered:
            # Everything is read and checked before anything of the run is touched.
            at.check(remembered, f"{last}/state.json: run")
            environment.recorded(self.directory)
            at.go_to(remembered)
            if at.over(self._settings.epochs):
                self._finish_again(at, remembered["metrics_bytes"])
            self.say(f"resuming {self.directory} at epoch {at.epoch}, batch {at.batch}")
        kept = remembered["metrics_bytes"] if remembered else 0
        self._metrics = Metrics(self.directory / "metrics.jsonl", kept, write=self.main)
        if self.main:
            write_json(self.directory / "config.json", document)
            self._describe(at.step if remembered else None)
            self._events = Events(self.directory, at.epoch + 1 if remembered else None)
        if not remembered:
            self.save(at)

    def end(self, at: Position, status: str, reason: str | None) -> None:
        """Write the summary, and close what is open."""
        if self.main:
            self._write_summary(at, status, reason)
            self._metrics.close()
            self._events.close()

    def say(self, line: str, err: bool = False) -> None:
        """Print a line, in one process."""
        if self.main:
            click.echo(line, err=err)

    def save(self, at: Position, *links: str) -> None:
        """Write a checkpoint, which `last` and these links name from now on."""
        document = at.remembered(self._metrics.size)
        if self.main:
            checkpoint.save(self.directory, at.step, self._learner, document, ("last", *links))

    def append(self, line: dict[str, Any]) -> None:
        """Write a line of metrics.jsonl."""
        self._metrics.append(line)

    def scalars(self, line: dict[str, Any], tags: Mapping[str, str]) -> None:
        """Write an epoch's numbers for TensorBoard, under these tags where they have some."""
        if self.main:
            numbers = {k: v for k, v in line.items() if isinstance(v, float) and k != "seconds"}
            self._events.scalars(line["epoch"], {tags.get(k, k): v for k, v in numbers.items()})

    @property
    def history(self) -> list[dict[str, Any]]:
        """The epochs' lines so far, those before a resume included."""
        return [line for line in self._metrics.lines if line["kind"] == "epoch"]

    def _describe(self, resumed_at: int | None) -> None:
        now = environment.now(self._settings, self._learner.backend, self._device, self._data)
        for change in environment.record(self.directory, now, resumed_at):
            self.say(f"warning: bits may differ from an unbroken run: {change}", err=True)

    def _finish_again(self, at: Position, kept: int) -> None:
        """A finished run resumed: it may have been killed before its summary was written."""
        if self.main:
            self._metrics = Metrics(self.directory / "metrics.jsonl", kept)
            self._write_summary(at, "finished", at.stopped)
            self._metrics.close()
        self.say(f"{self.directory}: this run is finished ({at.epoch} epochs)")
        raise SystemExit(0)

    def _write_summary(self, at: Position, status: str, reason: str | None) -> None:
        count = self._learner.parameters() if isinstance(self._learner, Counted) else None
        summary: dict[str, Any] = {"status": status, "reason": reason}
        summary |= directory.labels(self._settings, self._configuration, self._name, self._dataset)
        summary["rule"] = summary["rule"] or getattr(self._learner, "rule", None)
        summary |= {
            "epochs": at.epoch,
            "step": at.step,
            "seconds": round(at.seconds + at.epoch_seconds, 3),
            "parameters": count,
            "final": self.history[-1] if self.history else None,
            "best": at.best,
        }
        write_json(self.directory / "summary.json", summary)
