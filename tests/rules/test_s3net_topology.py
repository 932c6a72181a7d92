"""The wirings, checked with layers whose outputs say what they saw."""

from typing import Any

import pytest

from s3net.topology import WIRINGS, widths, wire
from tests.rules.s3net_edges import edges


def seen(wiring: str, depth: int) -> tuple[list[set[str]], set[str]]:
    """What each layer and the output see, when values are sets of names and joining is a union."""
    inputs: list[set[str]] = []

    def layer(i: int):
        def run(h: frozenset) -> frozenset:
            inputs.append(set(h))
            return frozenset({f"h{i}"})

        return run

    layers = [layer(i) for i in range(1, depth + 1)]
    y = wire(wiring, layers, frozenset({"h0"}), lambda kept: frozenset().union(*kept))
    return inputs, set(y)


def test_only_the_last_node_sees_every_layer() -> None:
    """A sparse block that feeds its joined output to a layer, or forgets its input."""
    inputs, output = seen("sparse", 4)
    assert inputs == [{"h0"}, {"h1"}, {"h2"}, {"h3"}]
    assert output == {"h0", "h1", "h2", "h3", "h4"}


def test_dense_and_plain_are_what_they_are_called() -> None:
    """A competitor that is not itself would make every comparison void."""
    inputs, output = seen("dense", 3)
    assert inputs == [{"h0"}, {"h0", "h1"}, {"h0", "h1", "h2"}]
    assert output == {"h0", "h1", "h2", "h3"}
    assert seen("plain", 3) == ([{"h0"}, {"h1"}, {"h2"}], {"h3"})


def test_residual_adds() -> None:
    """x + f(x) with numbers: three layers that double give 27."""
    assert wire("residual", [lambda h: 2 * h] * 3, 1, sum) == 27


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_wires_are_counted(depth: int) -> None:
    """O(L) for sparse, O(L^2) for dense; the chain itself has L + 1 of them."""
    assert len(edges("sparse", depth)) == 2 * depth + 1
    assert len(edges("dense", depth)) == (depth + 1) * (depth + 2) // 2
    assert len(edges("plain", depth)) == depth + 1
    for wiring in WIRINGS:
        wires = edges(wiring, depth)
        assert len(set(wires)) == len(wires) and all(a < b for a, b in wires)
        assert {b for _, b in wires} == set(range(1, depth + 2))


@pytest.mark.parametrize("wiring", WIRINGS)
def test_widths_are_those_of_the_built_block(wiring: str) -> None:
    """A table of widths that the network does not have."""
    torch = pytest.importorskip("torch")
    from s3net.networks import Block

    plan = widths(wiring, 6, 4, 3)
    block: Any = Block(wiring, 6, 4, 3, 2, 0.0).eval()
    assert [layer.conv1.in_channels for layer in block.children()] == [a for a, _ in plan.layers]
    assert block(torch.randn(2, 6, 8, 8)).shape == (2, plan.output, 8, 8)


def test_an_unknown_wiring_is_refused() -> None:
    with pytest.raises(ValueError, match="wiring .=full. must be one of sparse, dense"):
        widths("full", 3, 2, 1)


def test_dropout_stays_on_in_tests_only_where_the_original_is_asked_for() -> None:
    """Tests of another network each time, in the corrected program too."""
    torch = pytest.importorskip("torch")
    from s3net.cifar100.s3model import CifarS3

    images = torch.randn(2, 3, 32, 32)
    for always in (False, True):
        torch.manual_seed(1)
        net = CifarS3(4, (2, 2, 2), 6, classes=10, dropout=0.5, drop_always=always).eval()
        assert torch.equal(net(images), net(images)) != always
        assert not torch.equal(net.train()(images), net(images))


def test_a_batch_of_one_and_two_networks_at_once_are_no_matter() -> None:
    """An axis that is squeezed away, or features that wait in a module global."""
    torch = pytest.importorskip("torch")
    from s3net.cifar100.s3model import CifarS3, layers_of

    torch.manual_seed(1)
    one, other = (CifarS3(k, layers_of(10), 6, classes=7).eval() for k in (4, 5))
    images = torch.randn(3, 3, 32, 32)
    whole = one(images)
    assert other(images[:1]).shape == (1, 7)
    torch.testing.assert_close(torch.cat([one(image[None]) for image in images]), whole)
    assert layers_of(40) == (12, 12, 12) and layers_of(70) == (22, 22, 22)
