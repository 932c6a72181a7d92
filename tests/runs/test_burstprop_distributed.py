"""Burstprop, feedback alignment and backprop on two processes (gloo, CPU): one network, float64."""

import os
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torchrun is PyTorch's")

from tests.helpers.processes import gloo, of_two_processes  # noqa: E402

RULES = ("learned", "fixed", "conv", "by_batch", "backprop", "matched")
STEPS = 4


def learner(rule: str, world: Any = None) -> Any:
    from burstprop import networks
    from burstprop.learner import BackpropLearner, BurstLearner, MatchedBackpropLearner
    from burstprop.update import BurstUpdate

    torch.manual_seed(5)
    how: dict[str, Any] = {
        "feedback": "fixed" if rule == "fixed" else "learned",
        "recurrent": "learned",
    }
    conv = rule == "conv"
    net = networks.stack([(1, 3, 3, 2)] if conv else [], [27 if conv else 49, 8, 10], **how)
    net = net.double()
    if rule == "backprop":
        return BackpropLearner(net, 0.5, 0.8, 0.01, world)
    update = BurstUpdate(
        net,
        [0.5] * len(net.names),
        momentum=0.8,
        weight_decay=0.01,
        recurrent_lr=0.1,
        by_batch=rule == "by_batch",
        world=world,
    )
    if rule == "matched":
        return MatchedBackpropLearner(net, update, 0.2)
    return BurstLearner(net, update)


def data(rule: str) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(STEPS, 12, 1, 7, 7, dtype=torch.float64, generator=generator)
    labels = torch.randint(10, (STEPS, 12), generator=generator)
    return images if rule == "conv" else images.flatten(2), labels


def trained(rule: str, part: slice, world: Any = None) -> dict[str, Any]:
    one = learner(rule, world)
    images, labels = data(rule)
    for x, y in zip(images[:, part], labels[:, part], strict=True):
        one.train_step(x, y)
    return {n: t.numpy() for n, t in one.state().items() if torch.is_tensor(t)}


def _member(rank: int, port: int, results: Any) -> None:
    os.environ |= gloo(rank, port)
    from common.backends.torch_distributed import join

    torch.set_num_threads(1)
    world, _ = join(torch.device("cpu"))
    half = slice(6 * rank, 6 * rank + 6)
    states = {rule: trained(rule, half, world) for rule in RULES}
    world.close()
    results.put((rank, states))


def test_two_processes_equal_one() -> None:
    """Gradients averaged where the rule sums them, or each process's own; Z or a bias left out."""
    answers = of_two_processes(_member)
    for rule in RULES:
        expected = trained(rule, slice(None))
        for rank in (0, 1):
            for name, tensor in expected.items():
                if "angles" not in name:
                    gap = abs(answers[rank][rule][name] - tensor).max()
                    assert gap <= 1e-12 * max(abs(tensor).max(), 1), (rule, rank, name, gap)
