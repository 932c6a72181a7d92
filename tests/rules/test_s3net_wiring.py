"""The wiring that the networks really have, found by asking them."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="S3's networks are torch's")
from common.errors import UsageError  # noqa: E402
from s3net.topology import WIRINGS, widths  # noqa: E402
from s3net.wiring import drawn, main, open_block, seen, shortcuts  # noqa: E402
from tests.rules.s3net_edges import edges  # noqa: E402

PLANS = {"s3net_small": (24, 24, 4), "cifar": (24, 12, 12)}


@pytest.mark.parametrize("model", PLANS)
@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_built_block_is_wired_as_the_topology_says(model: str, wiring: str) -> None:
    """A network that feeds its layers otherwise than its description: every comparison void."""
    channels, growth, depth = PLANS[model]
    block, layers, taken = open_block(model, wiring, 1)
    inputs = seen(block, layers, taken)
    plan = widths(wiring, channels, growth, depth)
    assert taken == channels and inputs.channels == [*(a for a, _ in plan.layers), plan.output]
    if wiring != "residual":
        assert drawn(inputs).wires == sorted(edges(wiring, depth)) and not drawn(inputs).sums
    else:
        sums = [set(range(i)) for i in range(1, depth + 2)]
        assert [[set(group) for group in groups] for groups in inputs.arrivals] == [
            [each] for each in sums
        ]
        assert drawn(inputs).sums == [i + 0.5 for i in range(1, depth + 1)]
    few = {"sparse": depth, "dense": depth * (depth + 1) // 2, "residual": depth, "plain": 0}
    assert shortcuts(inputs) == few[wiring]


def test_looking_changes_nothing() -> None:
    """Hooks that stay, or a network left in evaluation."""
    block, layers, channels = open_block("s3net_small", "sparse", 2)
    before = {name: value.clone() for name, value in block.state_dict().items()}
    seen(block, layers, channels)
    assert block.training and not any(layer._forward_hooks for layer in layers)
    assert all((block.state_dict()[name] == value).all() for name, value in before.items())


def test_the_figure_is_drawn(tmp_path: Path, capsys) -> None:
    """A figure of three panels of the same wiring, or of none."""
    from PIL import Image

    words = ["--out", str(tmp_path / "w.png"), "--block", "3"]
    main.main(words, standalone_mode=False)
    printed = capsys.readouterr().out
    assert "sparse (S3): 4 layers, 4 shortcuts" in printed
    assert "dense (DenseNet): 4 layers, 10 shortcuts" in printed
    with Image.open(tmp_path / "w.png") as image:
        assert image.size[0] > 1500
    with pytest.raises(UsageError, match=r"option --block \(=4\) must be <= 3"):
        main.main(["--block", "4"], standalone_mode=False)
    with pytest.raises(UsageError, match="option --wirings .=full. must name sparse, dense"):
        main.main(["--wirings", "full"], standalone_mode=False)
