"""Finite networks approach the kernel: `python -m s3net.expressibility.empirical`

Draws networks of a finite width in each wiring, with one shared trunk, takes their tangent kernel
by differentiation, and compares its mean over seeds with the closed form. A third route.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from common.cli import Options, command, option
from common.cli.params import positive_int
from s3net.expressibility.kernel import WIRINGS, Array, kernels
from s3net.topology import wire

if TYPE_CHECKING:
    from torch import Tensor


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
    parameters: list[Tensor] = []

    def dense(h: "Tensor", out: int) -> "Tensor":
        weight = torch.randn(out, h.shape[1], dtype=torch.float64, generator=draw)
        bias = torch.randn(out, dtype=torch.float64, generator=draw)
        parameters.extend((weight.requires_grad_(), bias.requires_grad_()))
        return w_std / h.shape[1] ** 0.5 * h @ weight.T + b_std * bias

    def join(kept: list["Tensor"]) -> "Tensor":
        if wiring == "dense":
            return torch.cat(kept, 1)
        first = 1 if wiring == "proposed" and not identity else 0
        return torch.stack(kept[first:]).sum(0)

    def layer(h: "Tensor") -> "Tensor":
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
    drawn = np.stack([tangent_kernel(x, wiring, blocks, width, s, **words) for s in range(seeds)])
    exact = kernels(x, wiring=wiring, blocks=blocks, **words).ntk
    size = np.linalg.norm(exact)
    error = np.linalg.norm(drawn.std(0, ddof=1)) / np.sqrt(seeds) / size
    return float(np.linalg.norm(drawn.mean(0) - exact) / size), float(error)


@dataclass(frozen=True, kw_only=True)
class EmpiricalOptions(Options):
    """What empirical takes."""

    blocks: int = option(type=positive_int, default=3, help="Number of blocks, B.")
    seeds: int = option(type=positive_int, default=40, help="Number of networks of each width.")
    widest: int = option(type=positive_int, default=512, help="Widths double from 8 to this.")
    out: Path = option(default=Path("runs/s3net/empirical.png"), help="Where the figure goes.")


@command(EmpiricalOptions, paper="s3net", name="empirical")
def main(options: EmpiricalOptions) -> None:
    """Draw how the tangent kernels of finite networks approach the closed form."""
    from s3net.expressibility.plots import COLOUR, panels
    from s3net.plots import save

    x = np.random.RandomState(0).standard_normal((3, 5))
    widths = [8 * 2**i for i in range(12) if 8 * 2**i <= options.widest]
    figure, (axis,) = panels(1)
    for wiring in ("residual", "proposed", "dense"):
        measured = [deviation(x, wiring, options.blocks, w, options.seeds) for w in widths]
        for width, (distance, error) in zip(widths, measured, strict=True):
            off = f"{100 * distance:.2f} % off (standard error {100 * error:.2f} %)"
            click.echo(f"{wiring}, width {width}: mean of {options.seeds} networks is {off}")
        distances, errors = zip(*measured, strict=True)
        colour = COLOUR[wiring]
        axis.loglog(widths, distances, "o-", markersize=3, label=wiring, color=colour)
        axis.loglog(widths, errors, ":", color=colour)
    axis.set_xlabel("width")
    axis.set_ylabel("relative distance from the kernel")
    title = f"mean of {options.seeds} networks, B = {options.blocks}; dotted: standard error"
    axis.set_title(title, fontsize=9)
    axis.legend(frameon=False, fontsize=8)
    save(figure, options.out)
    click.echo(options.out)


if __name__ == "__main__":
    main()
