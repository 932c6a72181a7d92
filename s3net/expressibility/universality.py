"""One neuron a layer suffices: `python -m s3net.expressibility.universality --function sin`

The paper's univariate argument, built (s3net, 1). A chain of one-neuron layers

    h_0 = x,    h_i = relu(h_{i-1} - d_i),    d_1 = t_0,  d_i = t_{i-1} - t_{i-2}

is h_i = relu(x - t_{i-1}), because relu(relu(x - a) - d) = relu(x - a - d) for d >= 0: cutting off
the left end of a ramp is all that a neuron has to do to the one before it. With sparse shortcuts
the output sees every ramp, and

    y = f(t_0) + sum_i s_i h_i,    s_i the change of slope at t_{i-1}

is the piecewise-linear interpolation of f at the n + 1 equally spaced t of depth n. Its error is at
most max|f''| (b - a)^2 / (8 n^2). Without the shortcuts the output is one ramp.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from common.cli import Options, command, option
from common.cli.params import choice
from common.errors import ArgumentError
from common.files.writing import write_table
from s3net.expressibility.data import depths_of
from s3net.expressibility.kernel import Array
from s3net.topology import wire


def _runge(x: Array) -> Array:
    return 1 / (1 + 25 * x * x)


# name -> f, a, b, max|f''| on [a, b] (None: it has none).
FUNCTIONS: dict[str, tuple[Callable[[Array], Array], float, float, float | None]] = {
    "sin": (np.sin, 0.0, 2 * np.pi, 1.0),
    "exp": (np.exp, -1.0, 1.0, float(np.e)),
    "runge": (_runge, -1.0, 1.0, 50.0),
    "sqrt": (np.sqrt, 0.0, 1.0, None),
}


@dataclass(frozen=True)
class OneNeuronNet:
    """A chain of one-neuron ReLU layers with sparse shortcuts: `steps` d and `slopes` s, (n,)."""

    steps: Array
    slopes: Array
    offset: float

    @staticmethod
    def of(f: Callable[[Array], Array], a: float, b: float, depth: int) -> "OneNeuronNet":
        """The net of a depth for f on [a, b]. ValueError for a depth below 1."""
        if depth < 1:
            raise ArgumentError("depth", f"(={depth}) must be at least 1")
        t = np.linspace(a, b, depth + 1)
        values = f(t)
        slopes = np.diff(values) / np.diff(t)
        return OneNeuronNet(
            steps=np.concatenate([[a], np.diff(t[:-1])]),
            slopes=np.diff(slopes, prepend=0.0),
            offset=float(values[0]),
        )

    def __call__(self, x: Array) -> Array:
        """y (n,) of x (n,), layer by layer through the wiring."""
        layers = [lambda h, d=d: np.maximum(h - d, 0.0) for d in self.steps]

        def join(kept: list[Array]) -> Array:
            return self.offset + sum(s * h for s, h in zip(self.slopes, kept[1:], strict=True))

        return wire("sparse", layers, np.asarray(x, np.float64), join)


def largest_error(name: str, depth: int, points: int = 20_001) -> float:
    """max|net - f| on a fine grid of f's interval."""
    f, a, b, _ = FUNCTIONS[name]
    x = np.linspace(a, b, points)
    return float(np.abs(OneNeuronNet.of(f, a, b, depth)(x) - f(x)).max())


def rate(depths: list[int], errors: list[float]) -> float:
    """The exponent p of error ~ depth^-p, by least squares on logarithms."""
    return float(-np.polyfit(np.log(depths), np.log(errors), 1)[0])


@dataclass(frozen=True, kw_only=True)
class UniversalityOptions(Options):
    """What universality takes."""

    function: str = option(type=choice(*FUNCTIONS), default="sin", help="What is approximated.")
    depths: str = option(default="2,4,8,16,32,64,128", help="Numbers of neurons.")
    out: Path = option(default=Path("runs/s3net/universality"), help="Folder of the results.")


@command(UniversalityOptions, paper="s3net", name="universality")
def main(options: UniversalityOptions) -> None:
    """Build the one-neuron-wide network for a function and measure its error against depth."""
    from common.reports.figures import COLOURS
    from s3net.expressibility.plots import panels
    from s3net.plots import save

    depths = depths_of(options.depths)
    f, a, b, bend = FUNCTIONS[options.function]
    errors = [largest_error(options.function, depth) for depth in depths]
    table = [("depth", "largest_error"), *zip(depths, errors, strict=True)]
    write_table(options.out / f"{options.function}.csv", table)
    figure, axes = panels(2)
    x = np.linspace(a, b, 400)
    axes[0].plot(x, f(x), color="0.6", linewidth=3, label=options.function)
    for depth, colour in zip(depths[:3], COLOURS, strict=False):
        axes[0].plot(x, OneNeuronNet.of(f, a, b, depth)(x), color=colour, label=f"{depth} neurons")
    axes[0].set_xlabel("x")
    axes[0].legend(frameon=False, fontsize=8)
    axes[1].loglog(depths, errors, "o-", color=COLOURS[0], markersize=4, label="largest error")
    if bend is not None:
        bound = [bend * (b - a) ** 2 / (8 * d * d) for d in depths]
        axes[1].loglog(depths, bound, ":", color="0.4", label="bound, 1 / depth²")
    axes[1].set_xlabel("depth = neurons")
    axes[1].legend(frameon=False, fontsize=8)
    save(figure, options.out / f"{options.function}.png")
    for depth, error in zip(depths, errors, strict=True):
        click.echo(f"{depth:>5} neurons: largest error {error:.3g}")
    if len(set(depths)) > 1:
        click.echo(f"error ~ depth^-{rate(depths, errors):.2f}")
    click.echo(options.out / f"{options.function}.png")


if __name__ == "__main__":
    main()
