"""Learning rates epoch by epoch, and how many epochs the originals' early stopping let run."""

from brainprop.recipes import stalled
from common.runs.schedules import steps
from tests.golden.trace import Trace


def replay(trace: Trace) -> None:
    lr = trace["lr"]
    trace.compare("lr", [steps(lr[0], epoch, 100, 0.5) for epoch in range(len(lr))], 1e-7)
    rules = trace.integer("patience"), trace.number("best_so_far_min_delta")
    run = []
    for curve in trace["val_accuracy_curves"].tolist():
        stops = (n for n in range(1, len(curve) + 1) if stalled(curve[:n], *rules))
        run.append(next(stops, len(curve)))
    trace.compare("epochs_run", run, 0)
