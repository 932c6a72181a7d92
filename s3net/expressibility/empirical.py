"""Finite networks approach the kernel: `python -m s3net.expressibility.empirical`

Draws networks of a finite width in each wiring, with one shared trunk, takes their tangent kernel
by differentiation, and compares its mean over seeds with the closed form. A third route.
"""

from pathlib import Path
from typing import Any

import click
import numpy as np

from common.cli import Options, command, option
from common.cli.params import path, positive_int
from s3net.expressibility.kernel import WIRINGS, Array, kernels
from s3net.topology import wire


def tangent_kernel(
    x: Array,
    wiring: str,
    blocks: int,
    width: int,
    seed: int,
    *,
    identity: bool = False,
    w_std: float = 1.5,
    b_std: float = 0.05,
) -> Array:
    """Of one random network (the net of `kernel`, torch, float64) on x (n, d): (n, n)."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    parameters: list[Any] = []

    def dense(h: Any, out: int) -> Any:
        weight = torch.randn(out, h.shape[1], dtype=torch.float64, generator=draw)
        bias = torch.randn(out, dtype=torch.float64, generator=draw)
        parameters.extend((weight.requires_grad_(), bias.requires_grad_()))
        return w_std / h.shape[1] ** 0.5 * h @ weight.T + b_std * bias

    def join(kept: list[Any]) -> Any:
        if wiring == "dense":
            return torch.cat(kept, 1)
        first = 1 if wiring == "proposed" and not identity else 0
        return torch.stack(kept[first:]).sum(0)

    def layer(h: Any) -> Any:
        return dense(h.relu(), width)

    h = dense(torch.from_numpy(np.asarray(x, np.float64)), width)
    h = wire(WIRINGS[wiring], [layer] * blocks, h, join)
    y = dense(h.relu(), 1)[:, 0]
    rows = []
    for value in y:
        gradients = torch.autograd.grad(value, parameters, retain_graph=True)
        rows.append(torch.cat([g.reshape(-1) for g in gradients]))
    jacobian = torch.stack(rows)
    return (jacobian @ jacobian.T).numpy()


def deviation(
    x: Array, wiring: str, blocks: int, width: int, seeds: int, **words: Any
) -> tuple[float, float]:
    """(relative distance of the mean over seeds from the kernel, its standard error)."""
    found = np.stack([tangent_kernel(x, wiring, blocks, width, s, **words) for s in range(seeds)])
    exact = kernels(x, wiring=wiring, blocks=blocks, **words).ntk
    size = np.linalg.norm(exact)
    error = np.linalg.norm(found.std(0, ddof=1)) / np.sqrt(seeds) / size
    return float(np.linalg.norm(found.mean(0) - exact) / size), float(error)


@command(paper="s3net", name="empirical")
@option("--blocks", type=positive_int, default=3, original=False, help="B.")
@option("--seeds", type=positive_int, default=40, original=False, help="Networks a width.")
@option(
    "--widest", type=positive_int, default=512, original=False, help="Widths double from 8 to this."
)
@option(
    "--out",
    type=path,
    default=Path("runs/s3net/empirical.png"),
    original=False,
    help="Where the figure goes.",
)
def main(options: Options) -> None:
    """Draw how the tangent kernels of finite networks approach the closed form."""
    from s3net.expressibility.plots import COLOUR, panels, write

    x = np.random.RandomState(0).standard_normal((3, 5))
    widths = [8 * 2**i for i in range(12) if 8 * 2**i <= options.widest]
    figure, (axis,) = panels(1)
    for wiring in ("residual", "proposed", "dense"):
        found = [deviation(x, wiring, options.blocks, w, options.seeds) for w in widths]
        for width, (distance, error) in zip(widths, found, strict=True):
            off = f"{100 * distance:.2f} % off (standard error {100 * error:.2f} %)"
            click.echo(f"{wiring}, width {width}: mean of {options.seeds} networks is {off}")
        axis.loglog(widths, [d for d, _ in found], "o-", markersize=3, label=wiring,
                    color=COLOUR[wiring])  # fmt: skip
        axis.loglog(widths, [e for _, e in found], ":", color=COLOUR[wiring])
    axis.set_xlabel("width")
    axis.set_ylabel("relative distance from the kernel")
    axis.set_title(f"mean of {options.seeds} networks, B = {options.blocks}; dotted: standard "
                   "error", fontsize=9)  # fmt: skip
    axis.legend(frameon=False, fontsize=8)
    write(figure, options.out)
    click.echo(options.out)


if __name__ == "__main__":
    main()
