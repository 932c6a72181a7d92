"""What a run left in its directory, read as the formats say and not by the code that reads runs."""

import json
import struct
from pathlib import Path
from typing import Any

CLOCKS = ("seconds", "images_per_second")
"""Numbers of a line that are another in every run."""


def metrics(run: Path, kind: str | None = None) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl: all, or those of a kind (epoch, audit)."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if kind in (None, line["kind"])]


def steady_lines(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics without clocks."""
    return [{k: v for k, v in line.items() if k not in CLOCKS} for line in metrics(run)]


def tensors(run: Path) -> bytes:
    """The file of tensors in the last checkpoint."""
    return (run / "checkpoints/last/tensors.safetensors").read_bytes()


def left(run: Path) -> tuple[bytes, list[dict[str, Any]]]:
    """What two runs of the same bits have in common: tensors, and lines without clocks."""
    return tensors(run), steady_lines(run)


def left_by(run: Path) -> dict[str, Any]:
    """What a run left behind that must not depend on how often it was broken off."""
    state = json.loads((run / "checkpoints/last/state.json").read_text())
    state["run"].pop("seconds")
    state["run"].pop("metrics_bytes")  # lines hold seconds
    best = json.loads((run / "summary.json").read_text())["best"]
    return {"tensors": tensors(run), "state": state, "lines": steady_lines(run), "best": best}


def tensorboard(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) of all that a run's event files hold, in the order of their writing."""
    from tensorboard.compat.proto.event_pb2 import Event

    scalars: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(run.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
            data = data[16 + length :]
    return scalars
