"""TensorBoard scalars without TensorFlow: an event file is a list of framed protocol buffers.

`tensorboard` comes with every paper's extra, not with the base installation. Without it a run has
no event file, says so in one line when it begins, and goes on: `metrics.jsonl` has all numbers.
"""

import os
import time
from pathlib import Path
from typing import Any, BinaryIO

import click

WITHOUT = (
    "tensorboard is not installed: this run writes no TensorBoard events (its metrics.jsonl has "
    "the same numbers)"
)


class Events:
    """Appends scalars to a new event file; a resume declares void what came after its step.

    Where tensorboard is not installed, `WITHOUT` is said on stderr and nothing is written.
    """

    def __init__(self, folder: Path, resumed_at: int | None = None) -> None:
        self._file: BinaryIO | None = None
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError:
            click.echo(WITHOUT, err=True)
            return
        self._event, self._summary = event_pb2, summary_pb2
        name = f"events.out.tfevents.{int(time.time())}.{os.getpid()}"
        taken = len(list(folder.glob(name + "*")))
        self._file = open(folder / f"{name}.{taken}", "ab")
        self._writer = RecordWriter(self._file)
        self._write(event_pb2.Event(file_version="brain.Event:2"))
        if resumed_at is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._write(event_pb2.Event(step=resumed_at, session_log=start))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write tag → value at a step, and flush."""
        if self._file is None:
            return
        pairs = [
            self._summary.Summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
        ]
        self._write(self._event.Event(step=step, summary=self._summary.Summary(value=pairs)))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._writer.write(event.SerializeToString())
