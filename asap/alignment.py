"""Is the alignment learnt? `python -m asap.alignment RUN... --out FILE.png`

RUN is a run of asap.train with --audit or --audit-every. For each, two panels against training
steps: the cosine of forward and feedback weights, and of the rule's update and backprop's gradient,
a line a layer, the input's side dark. Bands are the spread over the batches of an audit.
"""

from pathlib import Path
from typing import Any

import click

from common.audit_lines import band, measured
from common.cli import Options, argument, command, option
from common.errors import UserError
from common.options import path
from common.report import Run, read_run


def curves(lines: list[dict[str, Any]], what: str) -> dict[str, list[tuple[int, float]]]:
    """layer -> (step, cosine) of "credit" or "feedback", where there is one."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for layer, value in line[what].items():
            if value["cosine"] is not None:
                found.setdefault(layer, []).append((line["step"], value["cosine"]))
    return found


def scatter(lines: list[dict[str, Any]], what: str, layer: str) -> list[tuple[int, float, float]]:
    """(step, low, high): mean and spread of a layer's cosine over an audit's batches, where the
    lines tell them."""
    pairs = ((line["step"], band(line[what].get(layer, {}), "cosine")) for line in lines)
    return [(step, *limits) for step, limits in pairs if limits]


def title(run: Run) -> str:
    """What the run trained, in two lines."""
    options = run.config["options"]
    return (
        f"{options['model']}, {options['dataset']}, {options['feedback']}\n"
        f"linear feedback: {options['feedback_init']}"
    )


def draw(runs: list[Run], file: Path) -> None:
    """The figure: a column a run, weights above, updates below. UserError without audits."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        2, len(runs), figsize=(3.4 * len(runs) + 0.8, 5.6), sharey="row", squeeze=False
    )
    panels = (("feedback", "cos(W, B)"), ("credit", "cos(update, gradient)"))
    for column, run in enumerate(runs):
        if not run.audits:
            raise UserError(f"{run.path}: no audits; train with --audit or --audit-every")
        for row, (what, label) in enumerate(panels):
            axis = axes[row][column]
            layers = curves(run.audits, what)
            colours = pyplot.get_cmap("viridis")
            for i, (layer, points) in enumerate(layers.items()):
                colour = colours(0.9 * i / max(1, len(layers) - 1))
                name = layer if len(layers) <= 6 or i in (0, len(layers) - 1) else None
                axis.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, label=name)
                if bands := scatter(run.audits, what, layer):
                    axis.fill_between(
                        *zip(*bands, strict=True), color=colour, alpha=0.12, linewidth=0
                    )
            axis.axhline(0, color="0.6", linewidth=0.7)
            axis.set_ylim(-0.3, 1.05)
            axis.set_xscale("symlog", linthresh=1)
            axis.set_xlim(left=0)
            axis.spines[["top", "right"]].set_visible(False)
            if not column:
                axis.set_ylabel(label)
            if row:
                axis.set_xlabel(f"training steps\n{measured(run.audits)}", fontsize=8)
            else:
                axis.set_title(title(run), fontsize=9)
            axis.legend(frameon=False, fontsize=7, loc="best")
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


@command(paper="asap", name="alignment")
@argument("runs", type=path, nargs=-1, required=True, help="run directories with audits")
@option("--out", type=path, default=Path("alignment.png"), help="Where the figure goes.")
def main(options: Options) -> None:
    """Draw how forward and feedback weights, updates and gradients align."""
    draw([read_run(run) for run in options.runs], options.out)
    click.echo(options.out)


if __name__ == "__main__":
    main()
