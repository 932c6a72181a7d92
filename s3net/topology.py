"""The wiring of a block: which layers see which, written once (Fan et al., arXiv 1811.09003).

A block is a chain of layers f_1 ... f_L on an input h_0 = x.

    sparse     h_i = f_i(h_{i-1}),            y = h_0 (+) h_1 (+) ... (+) h_L    the paper's
    dense      h_i = f_i(h_0 (+) ... (+) h_{i-1}), y the same                    DenseNet
    residual   h_i = h_{i-1} + f_i(h_{i-1}),  y = h_L                            ResNet
    plain      h_i = f_i(h_{i-1}),            y = h_L                            no shortcut

(+) puts channels side by side; `widths` says what each layer must take and give. Sparse shortcuts
need L wires where dense ones need L (L + 1) / 2, and one concatenation where those need L.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from common.errors import unknown

WIRINGS = ("sparse", "dense", "residual", "plain")


class Widths(NamedTuple):
    """(channels in, channels out) of each layer of a block, and of the block's output."""

    layers: list[tuple[int, int]]
    output: int


def widths(wiring: str, channels: int, growth: int, depth: int) -> Widths:
    """Of a block of `depth` layers on `channels`; `growth` channels a layer where they are joined.

    Residual layers must keep the width of what they are added to. ValueError for another wiring.
    """
    chain = [(channels if i == 0 else growth, growth) for i in range(depth)]
    if wiring == "sparse":
        return Widths(chain, channels + depth * growth)
    if wiring == "plain":
        return Widths(chain, growth if depth else channels)
    if wiring == "dense":
        layers = [(channels + i * growth, growth) for i in range(depth)]
        return Widths(layers, channels + depth * growth)
    if wiring == "residual":
        return Widths([(channels, channels)] * depth, channels)
    raise unknown("wiring", wiring, WIRINGS)


def wire(
    wiring: str, layers: Iterable[Callable[[Any], Any]], x: Any, join: Callable[[list[Any]], Any]
) -> Any:
    """y of a block on x. `join`: list of h -> h_0 (+) ... ; any array type, any (+)."""
    if wiring in ("sparse", "dense"):
        kept = [x]
        for layer in layers:
            kept.append(layer(join(kept) if wiring == "dense" and len(kept) > 1 else kept[-1]))
        return join(kept)
    for layer in layers:
        x = x + layer(x) if wiring == "residual" else layer(x)
    return x
