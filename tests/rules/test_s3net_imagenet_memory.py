"""What a sparse block keeps and copies: counted against the widths that it is made of."""

import pytest

torch = pytest.importorskip("torch")
from benchmarks.kept import kept, peak  # noqa: E402
from s3net.counts import multiplications  # noqa: E402
from s3net.networks import S3Net  # noqa: E402

GROWTH, BLOCKS, INIT, SIDE = 4, (3, 2), 6, 32


def network(wiring: str = "sparse") -> S3Net:
    return S3Net(GROWTH, BLOCKS, INIT, classes=10, wiring=wiring)


def expected(size: int = SIDE) -> tuple[int, int]:
    """Numbers an image that convolutions and norms must see again: every layer's own, each once."""
    convs, norms, side, channels = 0, INIT * (size // 2) ** 2, size // 4, INIT
    for i, depth in enumerate(BLOCKS):
        area = side**2
        inputs = [channels] + [GROWTH] * (depth - 1)
        norms += area * (sum(inputs) + depth * 4 * GROWTH)  # of both norms of each layer
        convs += area * (sum(inputs) + depth * 4 * GROWTH)
        channels += depth * GROWTH
        norms += area * channels  # the one concatenation, which the norm after the block reads
        if i < len(BLOCKS) - 1:
            convs += area * channels
            channels, side = channels // 2, side // 2
    return convs, norms


def test_a_step_keeps_every_layer_once_and_one_concatenation_a_block() -> None:
    """A copy beyond the concatenation: a dense block's memory for the wires of a sparse one."""
    numbers = kept(network(), SIDE)
    convs, norms = expected()
    assert numbers["conv_inputs"] == 4 * convs
    assert numbers["norm_inputs"] == 4 * norms


def calls_of_a_step(net: S3Net) -> list[str]:
    from torch.utils._python_dispatch import TorchDispatchMode

    called = []

    class Listen(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            called.append(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    images = torch.randn(2, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    net = net.to(memory_format=torch.channels_last).train()
    with Listen():
        net(images).sum().backward()
    return called


@pytest.mark.parametrize(("wiring", "joins"), [("sparse", 2), ("dense", 5), ("residual", 0)])
def test_one_concatenation_a_block_and_no_copy_beyond(wiring: str, joins: int) -> None:
    """A change of memory format, or a second concatenation, that costs a pass over everything."""
    called = calls_of_a_step(network(wiring))
    assert called.count("cat") == joins
    assert not {"clone", "copy_", "contiguous", "_to_copy"} & set(called)


def test_multiplications_are_counted_by_hand() -> None:
    """A table of costs that forgets a layer, or counts a strided one at full size."""
    net, total, side, channels = network(), 0, SIDE // 2, INIT
    total += 3 * INIT * 49 * side**2
    side //= 2
    for i, depth in enumerate(BLOCKS):
        for before in [channels] + [GROWTH] * (depth - 1):
            total += side**2 * 4 * GROWTH * (before + 9 * GROWTH)
        channels += depth * GROWTH
        if i < len(BLOCKS) - 1:
            total += side**2 * channels * (channels // 2)
            channels, side = channels // 2, side // 2
    assert multiplications(net, SIDE) == total + channels * 10


def test_the_peak_is_above_what_is_kept_and_below_twice_that() -> None:
    """A peak that counts parameters, or only the forward pass."""
    net = S3Net(16, (3, 3), 16, classes=10)
    most, held = peak(net, 64), kept(net, 64)["total"]
    assert held < most < 2 * held
