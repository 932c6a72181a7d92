"""What do the wires buy? `python -m s3net.expressibility.compare`

Kernel regression with infinitely wide networks (s3net, ntk 1): the test error of each wiring
against depth on the notebook's split, and over many random splits the gap between the residual and
the proposed wiring with a confidence interval. Writes compare.csv, gaps.csv and compare.png.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from common.cli import Options, command, option
from common.cli.params import choice, nonnegative, nonnegative_int, path, positive
from common.errors import UsageError
from common.files.writing import write_table
from s3net.expressibility.data import DATASETS, Data, indices, load, standardised
from s3net.expressibility.kernel import WIRINGS, kernels, mean_squared_error, parts, predict

NOTEBOOK_SPLIT = 13
FIELDS = ("dataset", "wiring", "blocks", "K", "kernel", "split", "mse", "mse_over_ntest",
          "accuracy", "variance")  # fmt: skip


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
    route: Any = kernels,
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
                    found = predict(*three, data.y[train], ridge=ridge, kind=kind)
                    error = mean_squared_error(found.mean, data.y[test])
                    right = found.mean.argmax(1) == data.y[test].argmax(1)
                    rows.append({
                        "dataset": data.name, "wiring": name, "blocks": blocks, "K": blocks + 2,
                        "kernel": kind, "split": seed, "mse": error,
                        "mse_over_ntest": error / len(test),
                        "accuracy": 100 * float(right.mean()) if data.classes else None,
                        "variance": float(np.diag(found.covariance).mean()),
                    })  # fmt: skip
    return rows


def gaps(rows: list[dict[str, Any]], test_share: float = 0.1) -> list[Gap]:
    """The residual wiring's error minus the proposed one's, paired by split."""
    errors = {(r["wiring"], r["kernel"], r["blocks"], r["split"]): r["mse"] for r in rows}
    found = []
    for kind in dict.fromkeys(r["kernel"] for r in rows):
        for blocks in dict.fromkeys(r["blocks"] for r in rows):
            pairs = [(e, errors.get(("proposed", kind, blocks, split)))
                     for (wiring, k, b, split), e in errors.items()
                     if (wiring, k, b) == ("residual", kind, blocks)]  # fmt: skip
            differences = np.array([a - b for a, b in pairs if b is not None])
            if len(differences):
                mean, low, high = interval(differences, test_share)
                wins = float((differences > 0).mean())
                found.append(Gap(blocks, kind, len(differences), mean, low, high, wins))
    return found


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


def _write(folder: Path, name: str, fields: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    write_table(folder / name, [fields, *rows])


def depths_of(text: str) -> list[int]:
    """ "2:8" or "2,4,8" -> numbers of blocks. UsageError otherwise."""
    try:
        if ":" in text:
            first, last = (int(word) for word in text.split(":"))
            found = list(range(first, last + 1))
        else:
            found = [int(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise UsageError(
            f"option --depths (={text}) must be blocks such as 2:8 or 2,4,8, each >= 1"
        )
    return found


@command(paper="s3net", name="compare")
@option(
    "--dataset",
    type=choice(*DATASETS),
    default="diabetes",
    original=False,
    help="Data: diabetes is bundled, Boston comes from --boston.",
)
@option(
    "--boston",
    type=path,
    default=None,
    original=False,
    help="Boston housing as csv or npz: 13 features and the price.",
)
@option("--depths", default="2:8", original=False, help="Blocks B: FIRST:LAST or a list.")
@option(
    "--wiring",
    "wirings",
    multiple=True,
    type=choice(*WIRINGS),
    original=False,
    default=("residual", "proposed", "dense"),
    help="Wirings; repeat for more.",
)
@option(
    "--identity",
    is_flag=True,
    default=False,
    original=False,
    help="Also the proposed wiring with the identity branch, as drawn.",
)
@option(
    "--ridge",
    type=nonnegative,
    default=0.1,
    original=False,
    help="Relative to the mean of the kernel's diagonal.",
)
@option("--w-std", type=positive, default=1.5, original=False, help="sigma_w.")
@option("--b-std", type=nonnegative, default=0.05, original=False, help="sigma_b.")
@option(
    "--standardize",
    is_flag=True,
    default=False,
    original=False,
    help="Features with mean 0 and variance 1 (the notebook's are raw).",
)
@option(
    "--splits",
    type=nonnegative_int,
    default=0,
    original=False,
    help="Random splits for the gap's confidence interval.",
)
@option(
    "--kernel",
    "kind",
    type=choice("ntk", "nngp", "both"),
    default="both",
    original=False,
    help="Tangent kernel, Gaussian process, or both.",
)
@option(
    "--route",
    type=choice("numpy", "neural-tangents"),
    default="numpy",
    original=False,
    help="Closed form, or the paper's tool on JAX.",
)
@option(
    "--out",
    type=path,
    default=Path("runs/s3net/compare"),
    original=False,
    help="Folder of the results.",
)
def main(options: Options) -> None:
    """Compare the wirings of infinitely wide networks by kernel regression."""
    from s3net.expressibility.plots import compared

    depths = depths_of(options.depths)
    data = load(options.dataset, options.boston)
    data = standardised(data) if options.standardize else data
    route = kernels
    if options.route == "neural-tangents":
        from s3net.expressibility.tangents import kernels as route  # noqa: F811
    kinds = ("ntk", "nngp") if options.kind == "both" else (options.kind,)
    words = {"identity": options.identity, "ridge": options.ridge, "w_std": options.w_std,
             "b_std": options.b_std, "route": route}  # fmt: skip
    splits = (NOTEBOOK_SPLIT, *range(1000, 1000 + options.splits))
    rows = measure(data, options.wirings, depths, splits, kinds, **words)
    once = [row for row in rows if row["split"] == NOTEBOOK_SPLIT]
    found = gaps([row for row in rows if row["split"] != NOTEBOOK_SPLIT])
    _write(options.out, "compare.csv", FIELDS, ([row[f] for f in FIELDS] for row in rows))
    _write(options.out, "gaps.csv", (*Gap._fields, "significant"),
           ([*gap, gap.significant] for gap in found))  # fmt: skip
    compared(once, found, options.out / "compare.png")
    click.echo(f"{data.name}: test MSE, split {NOTEBOOK_SPLIT} (in brackets the notebook's: "
               "divided by the test points once more)")  # fmt: skip
    for kind in kinds:
        click.echo(f"\n{kind.upper()}\n{table(once, kind)}")
        if data.classes:
            click.echo(f"accuracy, %\n{table(once, kind, 'accuracy')}")
    for gap in found:
        verdict = "significant" if gap.significant else "not significant"
        limits = f"[{gap.low:.4g}, {gap.high:.4g}]"
        click.echo(f"gap residual - proposed, {gap.kernel}, B = {gap.blocks}: {gap.mean:.4g} "
                   f"{limits} over {gap.splits} splits, {verdict}")  # fmt: skip
    click.echo(options.out / "compare.png")


if __name__ == "__main__":
    main()
