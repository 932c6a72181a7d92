"""Draw how a network's blocks are wired, as the network itself has it: `python -m s3net.wiring`.

Every layer of a block is made to answer with a number of its own, a power of two, in all of its
channels. What then arrives at a layer tells whom it sees: side by side each channel bears the
number of one layer, a sum bears the sum. Nothing is read from the description of the wiring.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click

from common.cli import Options, command, option
from common.cli.params import choice, positive_int
from common.errors import UsageError
from s3net.tinyimagenet.recipes import S3

TITLES = {
    "sparse": "sparse (S3)",
    "dense": "dense (DenseNet)",
    "residual": "residual (ResNet)",
    "plain": "plain",
}
ARROW: dict[str, Any] = {
    "mutation_scale": 8,
    "shrinkA": 9,
    "shrinkB": 9,
    "linewidth": 1.1,
    "arrowstyle": "-|>",
}
Group = frozenset[int]
"""Whose sum some channels bear: 0 is the block's input, i its i-th layer."""


class Seen(NamedTuple):
    """What arrives at each layer and at the block's output: groups, and channels of each."""

    inputs: list[dict[Group, int]]
    output: dict[Group, int]

    @property
    def arrivals(self) -> list[dict[Group, int]]:
        """Of the layers and, last, of the output."""
        return [*self.inputs, self.output]

    @property
    def channels(self) -> list[int]:
        """That arrive at each layer and at the output."""
        return [sum(groups.values()) for groups in self.arrivals]


class Drawn(NamedTuple):
    """Wires to draw, between places 0 (input) ... depth + 1 (output), and places with a sum."""

    wires: list[tuple[float, float]]
    sums: list[float]

    def jumps(self, wire: tuple[float, float]) -> bool:
        """Whether a wire passes over a layer or a sum: a shortcut."""
        low, high = wire
        places = {x for pair in self.wires for x in pair}
        return any(low < x < high for x in places)


def seen(block: Any, layers: list[Any], channels: int) -> Seen:
    """Who sees whom in `block`, a module with these layers on so many channels."""
    import torch

    arrived: list[Any] = []
    hooks = []
    for i, layer in enumerate(layers, start=1):
        hooks.append(layer.register_forward_pre_hook(lambda m, x: arrived.append(x[0].clone())))
        hooks.append(
            layer.register_forward_hook(lambda m, x, y, i=i: torch.full_like(y, float(2**i)))
        )
    try:
        with torch.no_grad():
            was = block.training
            output = block.eval()(torch.ones(1, channels, 8, 8))
            block.train(was)
    finally:
        for hook in hooks:
            hook.remove()
    return Seen([_groups(x) for x in arrived], _groups(output))


def _groups(x: Any) -> dict[Group, int]:
    """Channels (1, C, H, W) by the layers whose numbers they bear."""
    channels: dict[Group, int] = {}
    for value in x[0, :, 0, 0].tolist():
        group = frozenset(i for i in range(int(value).bit_length()) if int(value) >> i & 1)
        channels[group] = channels.get(group, 0) + 1
    return channels


def drawn(arrived: Seen) -> Drawn:
    """Wires of what was seen. A sum stands behind the last layer in it, and is one wire from the
    sum before it and one from that layer."""
    wires: list[tuple[float, float]] = []
    sums: dict[Group, float] = {}

    def place(group: Group) -> float:
        if len(group) == 1:
            return float(min(group))
        if group not in sums:
            last = max(group)
            before = place(group - {last})
            sums[group] = last + 0.5
            wires.extend([(before, last + 0.5), (float(last), last + 0.5)])
        return sums[group]

    for target, groups in enumerate(arrived.arrivals, start=1):
        wires += [(place(group), float(target)) for group in groups]
    return Drawn(sorted(set(wires)), sorted(sums.values()))


def shortcuts(arrived: Seen) -> int:
    """How many wires pass over something."""
    picture = drawn(arrived)
    return sum(map(picture.jumps, picture.wires))


def open_block(model: str, wiring: str, number: int) -> tuple[Any, list[Any], int]:
    """(block, its layers, channels it takes) of a network. UsageError for a block it has not."""
    if model == "cifar":
        from s3net.cifar100.s3model import CifarS3

        net: Any = CifarS3(wiring=wiring)
        blocks = [b for n, b in net.denseblocks.named_children() if n.startswith("db_")]
    else:
        from s3net.networks import make_network

        net = make_network(model, 10, wiring=wiring)
        blocks = [b for n, b in net.features.named_children() if n.startswith("denseblock")]
    if number > len(blocks):
        raise UsageError(
            f"option --block (={number}) must be <= {len(blocks)}, the blocks of {model}"
        )
    block = blocks[number - 1]
    layers = list(block.bottleneck.children() if model == "cifar" else block.children())
    first = layers[0].layer[0] if model == "cifar" else layers[0].norm1
    return block, layers, first.num_features


def draw(panels: dict[str, Seen], title: str, file: Path) -> None:
    """A panel a wiring: layers in a row, wires as arcs, channels that arrive under each."""
    from matplotlib.patches import FancyArrowPatch

    from s3net.plots import canvas, save

    deepest = max(len(each.inputs) for each in panels.values())
    figure, axes = canvas(1, len(panels), (0.85 * (deepest + 2) * len(panels), 2.6))
    for axis, (wiring, each) in zip(axes[0], panels.items(), strict=True):
        picture, last = drawn(each), len(each.inputs) + 1
        for a, b in picture.wires:
            jumps = picture.jumps((a, b))
            bend = -0.42 if jumps else 0.0
            shape = ARROW | {"connectionstyle": f"arc3,rad={bend}"}
            colour = "#2563eb" if jumps else "#374151"
            axis.add_patch(FancyArrowPatch((a, 0), (b, 0), color=colour, **shape))
        for i in range(last + 1):
            name = {0: "in", last: "out"}.get(i, f"$f_{{{i}}}$")
            _knot(axis, i, name, "#374151", 0.25, fontsize=8)
        for x in picture.sums:
            _knot(axis, x, "+", "#2563eb", 0.05, fontsize=9)
        for i, count in enumerate(each.channels, start=1):
            axis.text(i, -0.55, str(count), ha="center", fontsize=8, color="#6b7280")
        axis.text(0, -0.55, "channels:", ha="center", fontsize=8, color="#6b7280")
        axis.set_title(f"{TITLES[wiring]}: {shortcuts(each)} shortcuts", fontsize=10)
        axis.set_xlim(-0.6, last + 0.5)
        axis.set_ylim(-0.7, 0.23 * (last + 1))
        axis.axis("off")
    figure.suptitle(title, fontsize=10)
    save(figure, file, dpi=150)


def _knot(axis: Any, x: float, text: str, colour: str, pad: float, **more: Any) -> None:
    box = {"boxstyle": f"circle,pad={pad}", "facecolor": "white", "edgecolor": colour}
    axis.text(x, 0, text, ha="center", va="center", zorder=3, bbox=box, **more)


@dataclass(frozen=True, kw_only=True)
class WiringOptions(Options):
    """What wiring takes."""

    model: str = option(
        type=choice(*S3, "s3net_small", "cifar"), default="s3net_small", help="Network."
    )
    block: int = option(type=positive_int, default=1, help="Which of the network's blocks.")
    wirings: str = option(default="sparse,dense,residual", help="Wirings, separated by commas.")
    out: Path = option(default=Path("wiring.png"), help="File of the figure.")


@command(WiringOptions, paper="s3net", name="wiring")
def main(options: WiringOptions) -> None:
    """Draw the wiring of a network's block, found out by asking the network."""
    panels = {}
    for wiring in options.wirings.split(","):
        if wiring not in TITLES:
            raise UsageError(f"option --wirings (={options.wirings}) must name {', '.join(TITLES)}")
        block, layers, channels = open_block(options.model, wiring, options.block)
        panels[wiring] = seen(block, layers, channels)
        count = sum(p.numel() for p in block.parameters())
        wires = shortcuts(panels[wiring])
        click.echo(
            f"{TITLES[wiring]}: {len(layers)} layers, {wires} shortcuts, {count} parameters; "
            f"channels that arrive: {panels[wiring].channels}"
        )
    draw(panels, f"{options.model}, block {options.block}", options.out)
    click.echo(options.out)


if __name__ == "__main__":
    main()
