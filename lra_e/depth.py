"""Deep nets are the paper's point: where does LRA-E learn, and where does the credit die?

    python -m lra_e.depth --out runs/lra_e/depth

trains 3, 5 and 8 hidden layers of 256 with LRA-E, with E fixed, and with backprop, by the recipe of
`lra_e.mnist.mnist_torch`, several seeds each; then draws accuracy, the angle between each layer's
update and its gradient, and the angle between E and W transposed, against depth. Runs that are
there already are kept, unfinished ones resumed.
"""

from dataclasses import dataclass
from pathlib import Path

import click

from common.cli import Options, command, option
from common.cli.params import choice, path, positive_int
from common.cli.params import threads as thread_count
from common.files.writing import write_json
from lra_e.deep.study import DATASETS, RULES, cases, collect, train


@dataclass(frozen=True, kw_only=True)
class DepthOptions(Options):
    """What `depth` takes."""

    dataset: tuple[str, ...] = option(
        "--dataset",
        "--data",
        type=choice(*DATASETS),
        multiple=True,
        default=("mnist", "fashion_mnist"),
        help="Data sets; may be repeated.",
    )
    depth: tuple[int, ...] = option(
        type=positive_int, multiple=True, default=(3, 5, 8), help="Hidden layers; may be repeated."
    )
    rule: tuple[str, ...] = option(
        type=choice(*RULES), multiple=True, default=tuple(RULES), help="Rules; may be repeated."
    )
    seeds: int = option(type=positive_int, default=3, help="Seeds 1 to this number.")
    epochs: int = option(type=positive_int, default=30, help="Epochs of every run.")
    out: Path = option(type=path, default=Path("runs/lra_e/depth"), help="Folder of the study.")
    data_dir: Path | None = option(type=path, help="Folder of the data sets.")
    limit_train: int | None = option(type=positive_int, help="Train on so many images only.")
    threads: int = option(type=thread_count, default=1, help="CPU threads of a run.")
    only_figure: bool = option(
        "--only-figure/--all", default=False, help="Draw what is there, train nothing."
    )


@command(DepthOptions, paper="lra_e", name="depth")
def main(options: DepthOptions) -> None:
    """Train nets of several depths with LRA-E, fixed E and backprop, and draw what they learnt."""
    from lra_e.deep.figure import draw, table

    planned = list(cases(options.dataset, options.depth, options.rule, options.seeds))
    afresh = [f"--epochs={options.epochs}"]
    afresh += [f"--data-dir={options.data_dir}"] if options.data_dir else []
    afresh += [f"--limit-train={options.limit_train}"] if options.limit_train else []
    for i, case in enumerate([] if options.only_figure else planned, 1):
        about = f"{case.dataset}, {case.depth} hidden, {case.rule}, seed {case.seed}"
        click.echo(f"[{i}/{len(planned)}] {about}")
        train(case, options.out, [f"--threads={options.threads}"], afresh)
    points = collect(options.out)
    write_json(options.out / "depth.json", points)
    draw(points, options.out / "depth.png")
    click.echo(table(points))
    click.echo(f"{options.out / 'depth.json'}\n{options.out / 'depth.png'}")


if __name__ == "__main__":
    main()
