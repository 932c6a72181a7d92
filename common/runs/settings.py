"""What a run is told: where it stands, how long it goes on, what it writes and when."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from common.cli.training_options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a run is kept, whatever it trains.

    paper, script, name   "lra_e", "lra_e.mnist.mnist_torch", "mnist_torch"
    epochs                how many in all
    seed                  of everything random
    out, resume           directory of a new run (None: the next free one); of one to go on with
    checkpoint_every      steps between checkpoints (None: one an epoch)
    audit, audit_every, audit_images   audits an epoch; every so many steps; of so many images
    precision, deterministic           what environment.json says of them
    quiet                 no progress bars
    """

    paper: str
    script: str
    name: str
    epochs: int
    seed: int = 0
    out: Path | None = None
    resume: Path | None = None
    checkpoint_every: int | None = None
    audit: bool = False
    audit_every: int | None = None
    audit_images: int = 512
    precision: str = "float32"
    deterministic: bool = False
    quiet: bool = False

    @classmethod
    def of(cls, options: TrainingOptions) -> Self:
        """Those of a training script's options."""
        call = options.call
        about = {"paper": call.paper, "script": call.script, "name": call.name}
        rest = [each.name for each in fields(cls) if each.name not in about]
        values: dict[str, Any] = about | {name: getattr(options, name) for name in rest}
        return cls(**values)
