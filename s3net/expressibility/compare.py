"""What do the wires buy? `python -m s3net.expressibility.compare`

Kernel regression with infinitely wide networks (s3net, ntk 1): the test error of each wiring
against depth on the notebook's split, and over many random splits the gap between the residual and
the proposed wiring with a confidence interval. Writes compare.csv, gaps.csv and compare.png.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from common.cli import Options, command, option
from common.cli.params import choice, nonnegative, nonnegative_int, path, positive
from common.files.writing import write_table
from s3net.expressibility.data import DATASETS, Data, depths_of, indices, load, standardised
from s3net.expressibility.kernel import (
    WIRINGS,
    Kernels,
    kernels,
    mean_squared_error,
    parts,
    predict,
)

NOTEBOOK_SPLIT = 13
FIELDS = (
    *("dataset", "wiring", "blocks", "K", "kernel", "split"),
    *("mse", "mse_over_ntest", "accuracy", "variance"),
)


class Gap(NamedTuple):
    """Error of the residual wiring minus the proposed one's, over random splits, at one depth."""

    blocks: int
    kernel: str
    splits: int
    mean: float
    low: float
    high: float
    wins: float  # share of splits in which the proposed wiring errs less

    @property
    def significant(self) -> bool:
        """Whether the 95 % interval leaves zero out."""
        return self.low > 0 or self.high < 0


def interval(values: np.ndarray, test_share: float) -> tuple[float, float, float]:
    """(mean, low, high) of a 95 % t interval over random splits.

    Splits share most of their points: the variance of the mean is (1/J + n_test/n_train) s^2, not
    s^2 / J (Nadeau and Bengio 2003).
    """
    from scipy.stats import t

    count, mean = len(values), float(values.mean())
    if count < 2:
        return mean, float("-inf"), float("inf")
    variance = (1 / count + test_share / (1 - test_share)) * values.var(ddof=1)
    half = float(t.ppf(0.975, count - 1) * np.sqrt(variance))
    return mean, mean - half, mean + half


def measure(
    data: Data,
    wirings: Iterable[str],
    depths: Iterable[int],
    splits: Iterable[int],
    kinds: Iterable[str] = ("ntk",),
    *,
    identity: bool = False,
    ridge: float = 0.1,
    w_std: float = 1.5,
    b_std: float = 0.05,
    route: Callable[..., Kernels] = kernels,
) -> list[dict[str, Any]]:
    """A row (FIELDS) for each wiring, depth, kernel and split: the kernel of all points is made
    once, a split takes its parts. `identity` adds the wiring proposed_with_identity."""
    chosen: list[tuple[str, dict[str, Any]]] = [(name, {"wiring": name}) for name in wirings]
    if identity:
        chosen.append(("proposed_with_identity", {"wiring": "proposed", "identity": True}))
    halves = {seed: indices(len(data.x), seed) for seed in splits}
    rows = []
    for name, words in chosen:
        for blocks in depths:
            whole = route(data.x, blocks=blocks, w_std=w_std, b_std=b_std, **words)
            for seed, (train, test) in halves.items():
                three = parts(whole, train, test)
                for kind in kinds:
                    mean, covariance = predict(*three, data.y[train], ridge=ridge, kind=kind)
                    error = mean_squared_error(mean, data.y[test])
                    right = float((mean.argmax(1) == data.y[test].argmax(1)).mean())
                    accuracy = 100 * right if data.classes else None
                    known = (data.name, name, blocks, blocks + 2, kind, seed)
                    figures = (
                        error,
                        error / len(test),
                        accuracy,
                        float(np.diag(covariance).mean()),
                    )
                    rows.append(dict(zip(FIELDS, (*known, *figures), strict=True)))
    return rows


def gaps(rows: list[dict[str, Any]], test_share: float = 0.1) -> list[Gap]:
    """The residual wiring's error minus the proposed one's, paired by split."""
    errors = {(r["wiring"], r["kernel"], r["blocks"], r["split"]): r["mse"] for r in rows}
    measured = []
    for kind in dict.fromkeys(r["kernel"] for r in rows):
        for blocks in dict.fromkeys(r["blocks"] for r in rows):
            pairs = [
                (error, errors.get(("proposed", kind, blocks, split)))
                for (wiring, k, b, split), error in errors.items()
                if (wiring, k, b) == ("residual", kind, blocks)
            ]
            differences = np.array([a - b for a, b in pairs if b is not None])
            if len(differences):
                mean, low, high = interval(differences, test_share)
                wins = float((differences > 0).mean())
                measured.append(Gap(blocks, kind, len(differences), mean, low, high, wins))
    return measured


def table(rows: list[dict[str, Any]], kind: str, what: str = "mse") -> str:
    """A number of `rows` by depth (down) and wiring (across), the mean over their splits; beside
    the MSE, in brackets, what the notebook prints: the MSE divided by the test points again."""
    chosen = [r for r in rows if r["kernel"] == kind]
    wirings = list(dict.fromkeys(r["wiring"] for r in chosen))
    lines = ["  ".join([f"{'K':>3} {'B':>3}", *(f"{w:>24}" for w in wirings)])]
    for blocks in dict.fromkeys(r["blocks"] for r in chosen):
        cells = []
        for wiring in wirings:
            here = [r for r in chosen if (r["wiring"], r["blocks"]) == (wiring, blocks)]
            cell = f"{np.mean([r[what] for r in here]):.6g}"
            if what == "mse":
                cell += f" ({np.mean([r['mse_over_ntest'] for r in here]):.6g})"
            cells.append(f"{cell:>24}")
        lines.append("  ".join([f"{blocks + 2:>3} {blocks:>3}", *cells]))
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class CompareOptions(Options):
    """What compare takes."""

    dataset: str = option(
        type=choice(*DATASETS),
        default="diabetes",
        help="Data: diabetes is bundled, Boston comes from --boston.",
    )
    boston: Path | None = option(
        type=path, help="Boston housing as csv or npz: 13 features and the price."
    )
    depths: str = option(default="2:8", help="Blocks B: FIRST:LAST or a list.")
    wirings: tuple[str, ...] = option(
        "--wiring",
        multiple=True,
        type=choice(*WIRINGS),
        default=("residual", "proposed", "dense"),
        help="Wirings; repeat for more.",
    )
    identity: bool = option(
        is_flag=True,
        default=False,
        help="Compare the proposed wiring with the identity branch too, as drawn.",
    )
    ridge: float = option(
        type=nonnegative, default=0.1, help="Ridge, relative to the mean of the kernel's diagonal."
    )
    w_std: float = option(type=positive, default=1.5, help="Weights' deviation, sigma_w.")
    b_std: float = option(type=nonnegative, default=0.05, help="Biases' deviation, sigma_b.")
    standardize: bool = option(
        is_flag=True,
        default=False,
        help="Features with mean 0 and variance 1 (the notebook's are raw).",
    )
    splits: int = option(
        type=nonnegative_int, default=0, help="Random splits for the gap's confidence interval."
    )
    kind: str = option(
        "--kernel",
        type=choice("ntk", "nngp", "both"),
        default="both",
        help="Tangent kernel, Gaussian process, or both.",
    )
    route: str = option(
        type=choice("numpy", "neural-tangents"),
        default="numpy",
        help="Closed form, or the paper's tool on JAX.",
    )
    out: Path = option(default=Path("runs/s3net/compare"), help="Folder of the results.")


@command(CompareOptions, paper="s3net", name="compare")
def main(options: CompareOptions) -> None:
    """Compare the wirings of infinitely wide networks by kernel regression."""
    from s3net.expressibility.plots import compared

    depths = depths_of(options.depths)
    data = load(options.dataset, options.boston)
    data = standardised(data) if options.standardize else data
    route = kernels
    if options.route == "neural-tangents":
        from s3net.expressibility.tangents import kernels as route  # noqa: F811
    kinds = ("ntk", "nngp") if options.kind == "both" else (options.kind,)
    rows = measure(
        data,
        options.wirings,
        depths,
        (NOTEBOOK_SPLIT, *range(1000, 1000 + options.splits)),
        kinds,
        identity=options.identity,
        ridge=options.ridge,
        w_std=options.w_std,
        b_std=options.b_std,
        route=route,
    )
    once = [row for row in rows if row["split"] == NOTEBOOK_SPLIT]
    differences = gaps([row for row in rows if row["split"] != NOTEBOOK_SPLIT])
    write_table(options.out / "compare.csv", [FIELDS, *(row.values() for row in rows)])
    head = (*Gap._fields, "significant")
    write_table(options.out / "gaps.csv", [head, *((*gap, gap.significant) for gap in differences)])
    compared(once, differences, options.out / "compare.png")
    click.echo(
        f"{data.name}: test MSE, split {NOTEBOOK_SPLIT} (in brackets the notebook's: divided by "
        "the test points once more)"
    )
    for kind in kinds:
        click.echo(f"\n{kind.upper()}\n{table(once, kind)}")
        if data.classes:
            click.echo(f"accuracy, %\n{table(once, kind, 'accuracy')}")
    for gap in differences:
        verdict = "significant" if gap.significant else "not significant"
        limits = f"[{gap.low:.4g}, {gap.high:.4g}]"
        click.echo(
            f"gap residual - proposed, {gap.kernel}, B = {gap.blocks}: {gap.mean:.4g} {limits} "
            f"over {gap.splits} splits, {verdict}"
        )
    click.echo(options.out / "compare.png")


if __name__ == "__main__":
    main()
