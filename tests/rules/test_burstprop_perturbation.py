"""Node perturbation: what its noise tells about the gradient, in the two forms, and its walks."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from burstprop import networks  # noqa: E402
from burstprop.learner import PerturbationLearner  # noqa: E402
from burstprop.networks import BurstNetwork  # noqa: E402
from burstprop.perturbation.original import OriginalPerturbation  # noqa: E402
from burstprop.perturbation.rule import MODES, Noise, Perturbation, clean_pass  # noqa: E402
from burstprop.update import BurstUpdate  # noqa: E402

STD = 1e-4


def small(conv: bool = False) -> Any:
    net = (
        networks.stack([(1, 3, 3, 2), (3, 4, 2, 1)], [16, 5, 4], feedback=None)
        if conv
        else networks.stack([], [6, 5, 5, 4], feedback=None)
    )
    for layer in net.layers:
        layer.draw(4.0)
    return net.double()


def batch(conv: bool, n: int = 2) -> tuple[Any, Any]:
    shape = (n, 1, 7, 7) if conv else (n, 6)
    target = torch.eye(4, dtype=torch.float64)[torch.randint(4, (n,))]
    return torch.randn(*shape, dtype=torch.float64), target


def gradients(net: BurstNetwork, images: Any, target: Any) -> list[Any]:
    loss = ((net(images) - target) ** 2).mean()
    return list(torch.autograd.grad(loss, [layer.weight for layer in net.layers]))


def cosine(a: Any, b: Any) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()))


def mean_direction(net: BurstNetwork, make: Any, mode: str, images: Any, target: Any, n: int):
    """The mean update of each layer over n draws."""
    perturbation = make(net, mode, Noise(0.0, STD), STD)
    total = [torch.zeros_like(layer.weight).detach() for layer in net.layers]
    for _ in range(n):
        _, updates = perturbation.updates(images, target)
        for layers in updates:
            for G, layer, each in zip(total, net.layers, layers, strict=True):
                if each is not None:
                    G += layer.gradients(each.delta, each.x)[0]
    return [G / n for G in total]


@pytest.mark.parametrize("conv", [False, True])
def test_noise_that_reaches_the_output_finds_the_gradient_of_every_layer(conv: bool) -> None:
    """(burstprop, D7): hidden layers that do a random walk. The size is right too: E is a mean."""
    net, (images, target) = small(conv), batch(conv)
    true = gradients(net, images, target)
    for mode, n, least in (("layers", 300, 0.9), ("all", 1000, 0.5)):
        directions = mean_direction(net, Perturbation, mode, images, target, n)
        for i, (mine, theirs) in enumerate(zip(directions, true, strict=True)):
            assert cosine(mine, theirs) > least, (mode, i)
            scale = float((mine * theirs).sum() / (theirs * theirs).sum())
            assert mode == "all" or 0.7 < scale < 1.4, (i, scale)


def test_in_the_original_only_the_output_hears_of_the_error() -> None:
    """(burstprop, D7) as it is: the switch must change something, and only there."""
    net, (images, target) = small(), batch(False)
    true = gradients(net, images, target)
    directions = mean_direction(net, OriginalPerturbation, "all", images, target, 1000)
    scales = [float((a * b).sum() / (b * b).sum()) for a, b in zip(directions, true, strict=True)]
    assert abs(scales[-1] - 1) < 0.3 and all(abs(s) < 0.4 for s in scales[:-1]), scales


@pytest.mark.parametrize("conv", [False, True])
def test_one_unit_at_a_time_adds_up_to_the_gradient(conv: bool) -> None:
    """Units that are left out (burstprop, D8), or perturbed twice in a round."""
    net, (images, target) = small(conv), batch(conv)
    units = sum(e[0].numel() for e in clean_pass(net, images).rates)
    rounds = 8
    directions = mean_direction(net, Perturbation, "units", images, target, rounds * units)
    for mine, theirs in zip(directions, gradients(net, images, target), strict=True):
        assert cosine(mine, theirs) > 0.8
        scale = float((mine * theirs).sum() / (theirs * theirs).sum()) * units
        assert 0.6 < scale < 1.5


def test_the_walk_visits_every_unit_and_the_originals_counts_dimensions() -> None:
    """(burstprop, D8): of C x H x W units the original visits C + H + W, and skips batches."""
    net, (images, target) = small(conv=True), batch(True)
    sizes = [e[0].numel() for e in clean_pass(net, images).rates]
    ours = Perturbation(net, "units", Noise(), 0.001)
    places = []
    for _ in range(sum(sizes) + 1):
        places.append(ours.walk.place)
        ours.updates(images, target)
    assert places == [(i, u) for i, n in enumerate(sizes) for u in range(n)] + [(0, 0)]
    theirs = OriginalPerturbation(net, "units", Noise(), 0.001)
    seen, skipped = [0] * len(sizes), 0
    for _ in range(31):
        _, updates = theirs.updates(images, target)
        passes = list(updates)
        skipped += not passes
        for layers in passes:
            seen[next(i for i, t in enumerate(layers) if t is not None)] += 1
    assert sizes[:2] == [27, 16] and seen[:2] == [3 + 3 + 3, 4 + 2 + 2] and skipped == 5


def test_differences_keep_the_digits_that_float32_loses() -> None:
    """(burstprop, D9): E' - E in float32 against float64."""
    net = networks.stack([], [30, 40, 40, 10], feedback=None)
    images, target = torch.randn(32, 30), torch.eye(10)[torch.randint(10, (32,))]
    noise = [torch.randn(32, n) * 1e-3 for n in (40, 40, 10)]
    results = {}
    for name, double, differences in (
        ("exact", True, True),
        ("kept", False, True),
        ("lost", False, False),
    ):
        one = (net.double() if double else net.float(), images.double() if double else images)
        draws = iter(noise)
        kind = one[1].dtype

        def draw(shape: Any, like: Any, draws: Any = draws, kind: Any = kind) -> Any:
            return next(draws).to(kind)

        mine: Any = Perturbation(one[0], "all", draw, 1e-3, differences)
        _, [layers] = mine.updates(one[1], target.to(kind))
        results[name] = torch.cat([t.delta.flatten().double() for t in layers])
    errors = {
        n: float((results[n] - results["exact"]).norm() / results["exact"].norm())
        for n in ("kept", "lost")
    }
    assert errors["kept"] < 3e-6 and errors["lost"] > 10 * errors["kept"], errors


@pytest.mark.parametrize("original", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_updates_as_often_as_it_should(mode: str, original: bool) -> None:
    """Momentum and decay L times a batch where once was meant, or the reverse (burstprop, D8)."""
    net, (images, target) = small(), batch(False)
    form = OriginalPerturbation if original else Perturbation
    learner = PerturbationLearner(
        net, BurstUpdate(net, [0.0] * 3, weight_decay=0.1), form(net, mode, Noise(), 0.001)
    )
    before = net.layers[0].weight.detach().clone()
    learner.train_step(images, target.argmax(1))
    times = 3 if original and mode == "layers" else 1
    torch.testing.assert_close(net.layers[0].weight.detach(), before * 0.9**times)


def test_noise_of_no_size_and_other_units_are_refused() -> None:
    """A division by zero in every update; noise on units it is not derived for."""
    with pytest.raises(ValueError, match="xi_std"):
        Noise(0.0, 0.0)
    with pytest.raises(ValueError, match="mode"):
        Perturbation(small(), "some", Noise(), 0.001)
    from burstprop.imagenet.rule import ReLUUnits
    from burstprop.layers import BurstLinear

    net = BurstNetwork([BurstLinear(6, 5, units=ReLUUnits()), small().layers[-1].float()])
    with pytest.raises(ValueError, match="sigmoid"):
        clean_pass(net, torch.randn(2, 6))
