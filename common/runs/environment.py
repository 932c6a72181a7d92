"""environment.json: versions, hardware and data that made a run, and what differs at a resume."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import common
from common.files import documents
from common.files.writing import write_json
from common.runs.settings import RunSettings

PACKAGES = (
    "numpy torch torchvision tensorflow keras jax jaxlib neural-tangents scikit-learn safetensors"
).split()
PARTS = ("time", "git_commit", "git_dirty", "command")  # what each part of a resumed run has anew
# Where the bits of a resumed run may come to differ.
EXACT = ("python", "packages", "hardware", "precision", "deterministic", "data")


def now(settings: RunSettings, backend: Any, device: Any, data: Any) -> dict:
    """What environment.json holds. data: has `checksums`, and `unverified` where it knows."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "hardware": backend.hardware(device),
        "threads": backend.hardware(device)["threads"],
        "packages": {name: v for name in PACKAGES if (v := _installed(name))},
        "device": str(device),
        "precision": settings.precision,
        "deterministic": settings.deterministic,
        "data": dict(data.checksums),
        "unverified": sorted(getattr(data, "unverified", data.checksums)),
        **_git(),
        "command": sys.argv,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def record(directory: Path, current: dict[str, Any], resumed_at: int | None) -> list[str]:
    """Write environment.json, at a resume with what has changed since; returns those changes."""
    path, changed = directory / "environment.json", []
    if resumed_at is not None and (before := recorded(directory)):
        changed = differences(before, current)
        entry = {
            "step": resumed_at,
            **{key: current.get(key) for key in PARTS},
            "differences": changed,
        }
        current = before | {"resumed": [*before.get("resumed", []), entry]}
    write_json(path, current)
    return changed


def recorded(directory: Path) -> dict[str, Any]:
    """environment.json, {} where there is none. UserError where it holds something else."""
    path = directory / "environment.json"
    return documents.read(path, documents.ENVIRONMENT) if path.exists() else {}


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What of the environment has changed that may change the bits of a resumed run."""
    lines = []
    for key in EXACT:
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            for name in sorted(old.keys() | new.keys()):
                if old.get(name) != new.get(name):
                    lines.append(f"{key} {name}: {old.get(name)} then, {new.get(name)} now")
        elif old != new:
            lines.append(f"{key}: {old} then, {new} now")
    return lines


def version() -> str:
    """creditlab's version."""
    return _installed("creditlab") or "unknown"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _git() -> dict[str, Any]:
    """The commit of the checkout that the code runs from; nothing for an installed wheel."""

    def ask(*arguments: str) -> str | None:
        root = Path(common.__file__).parent.parent
        if not (root / ".git").exists():
            return None
        try:
            command = ["git", "-C", str(root), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None

    commit, status = ask("rev-parse", "HEAD"), ask("status", "--porcelain", "-uno")
    return {
        "git_commit": commit.strip() if commit else None,
        "git_dirty": bool(status) if status is not None else None,
    }
