"""Where a run stands: what its checkpoints remember beside the learner's state."""

from typing import Any

from common.files import documents
from common.runs.running import Counting


class Position:
    """Where a run stands.

    counting    what the steps count
    epoch       completed epochs
    batch       batches of this epoch
    step        all steps
    metrics     of this epoch's training batches, in this process
    seconds, epoch_seconds  spent in training batches: of completed epochs; of this one
    line        what the script has logged for this epoch's line
    best        metric, value and epoch of the best one so far; None before it
    stopped     why training ends after this epoch, where the script said so
    """

    def __init__(self, counting: Counting, epoch: int, best: dict[str, Any] | None) -> None:
        self.counting = counting
        self.epoch = epoch
        self.batch = self.step = 0
        self.metrics = counting.nothing()
        self.seconds = self.epoch_seconds = 0.0
        self.line: dict[str, Any] = {}
        self.best = best
        self.stopped: str | None = None

    def next_epoch(self) -> None:
        """The next epoch's sums and clock begin at nothing."""
        self.seconds, self.epoch_seconds = self.seconds + self.epoch_seconds, 0.0
        self.metrics = self.counting.nothing()

    def over(self, epochs: int) -> bool:
        """Whether nothing is left to do of so many epochs."""
        return bool(self.stopped or (self.epoch >= epochs and not self.batch))

    def improved(self, line: dict[str, Any], metric: str) -> bool:
        """Whether this epoch's line is the best one so far, which is remembered then.

        metric  name in the line whose highest value is best (a leading "-": whose lowest)
        """
        name, sign = metric.lstrip("-"), -1 if metric[0] == "-" else 1
        value: float | None = line.get(name)
        if value is None or (self.best and sign * value <= sign * self.best["value"]):
            return False
        self.best = {"metric": name, "value": value, "epoch": self.epoch}
        return True

    def remembered(self, metrics_bytes: int) -> dict[str, Any]:
        """What a checkpoint holds; every process asks for it at the same time."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "step": self.step,
            "sums": self.counting.states(self.metrics),
            "seconds": [self.seconds, self.epoch_seconds],
            "line": self.line,
            "best": self.best,
            "stopped": self.stopped,
            "metrics_bytes": metrics_bytes,
        }

    def check(self, remembered: Any, where: str) -> None:
        """UserError where that is not what `remembered` gave."""
        kind = documents.position(len(self.counting.nothing().state()))
        documents.check(remembered, kind, where)

    def go_to(self, remembered: dict[str, Any]) -> None:
        """Stand where a checkpoint was written."""
        self.epoch, self.batch, self.step = (remembered[k] for k in ("epoch", "batch", "step"))
        self.metrics.load_states(self.counting.own(remembered["sums"]))
        self.seconds, self.epoch_seconds = remembered["seconds"]
        self.line, self.best = remembered["line"], remembered["best"]
        self.stopped = remembered["stopped"]
