"""Every PyTorch learner takes its steps on the meta device, where tensors have shapes and no
values: a step that waits for a value (`.item()`, `if tensor:`), or a tensor that was left on the
CPU, is an error there, as it is a stall or an error on a GPU.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.papers import from_papers

torch = pytest.importorskip("torch", reason="these learners are PyTorch's")

CLASSES, BATCH = 4, 6


@pytest.fixture(autouse=True)
def optimisers_for_the_meta_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch has no fused optimiser there: the same ones, tensor lists instead of one kernel."""
    for kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        made = kind.__init__

        def unfused(self, *given, made=made, **named):
            made(self, *given, **{**named, "fused": None, "foreach": True})

        monkeypatch.setattr(kind, "__init__", unfused)


Made = tuple[Any, tuple[int, ...]]  # a learner on the meta device, shape of an image


def _asap(model: str, mode: str, **how: Any) -> Made:
    from asap.learner import Learner, adam, sgd
    from asap.networks import make_network

    optimiser = adam(0.01) if how.pop("adam", False) else sgd(0.01)
    net = make_network(model, mode, width=0.04, size=8, classes=CLASSES, **how)
    return Learner(net, optimiser), (3, 8, 8)


def _burst_net(**how: Any) -> Any:
    from burstprop.networks import stack

    return stack([(1, 2, 3, 2)], [32, 6, CLASSES], **how)


def _burstprop(**how: Any) -> Made:
    from burstprop.learner import BurstLearner
    from burstprop.update import BurstUpdate

    net = _burst_net(**how)
    update = BurstUpdate(net, [0.1] * 3, momentum=0.5, weight_decay=0.01, recurrent_lr=0.1)
    return BurstLearner(net, update, average=True), (1, 9, 9)


def _backprop(matched: bool) -> Made:
    from burstprop.learner import BackpropLearner, MatchedBackpropLearner
    from burstprop.update import BurstUpdate

    net = _burst_net(feedback=None)
    if matched:
        return MatchedBackpropLearner(net, BurstUpdate(net, [0.1] * 3), 0.2), (1, 9, 9)
    return BackpropLearner(net, 0.1, 0.9, 0.01), (1, 9, 9)


def _perturbation(kind: str, mode: str) -> Made:
    from burstprop.learner import PerturbationLearner
    from burstprop.perturbation import original, rule
    from burstprop.update import BurstUpdate

    net = _burst_net(feedback=None)
    if kind == "original":
        noise: Any = original.OriginalPerturbation(net, mode, rule.Noise(), 0.001)
    else:
        noise = rule.Perturbation(net, mode, rule.Noise(), 0.001)
    return PerturbationLearner(net, BurstUpdate(net, [0.1] * 3), noise), (1, 9, 9)


def _burst_imagenet(feedback: str | None, optimiser: str = "sgd") -> Made:
    from burstprop.imagenet import learner, networks

    net = networks.rectified([(3, 4, 3, 2), (4, 4, 3, 1)], [16, CLASSES], feedback=feedback)
    networks.draw(net, 0.01)
    return learner.Learner(net, [0.1] * 3, getattr(learner, optimiser)()), (3, 9, 9)


def _lra_e(rule: str = "lra_e", optimiser: str = "adamw", after: bool = False, **how: Any) -> Made:
    from lra_e import torch_learner
    from lra_e.torch_rule import MLP

    net = MLP([12, 8, 8, CLASSES], **how)
    make = getattr(torch_learner, optimiser)(0.01)
    return torch_learner.Learner(net, make, rule, report_after_update=after), (12,)


def _s3(net: Callable[[], Any], side: int = 32, **how: Any) -> Made:
    from s3net.learner import Learner

    return Learner(net(), 0.1, weight_decay=0.01, **how), (3, side, side)


def _s3_chain(wiring: str) -> Any:
    from s3net.networks import S3Net

    return S3Net(4, (2, 2), 4, classes=CLASSES, wiring=wiring, dropout=0.1)


def _s3_cifar(wiring: str) -> Any:
    from s3net.cifar100.s3model import CifarS3

    return CifarS3(4, (2, 2, 2), 8, classes=CLASSES, wiring=wiring, dropout=0.1, drop_always=True)


def _s3_named(name: str) -> Any:
    from s3net.tinyimagenet.networks import make_network

    return make_network(name, CLASSES)


def _s3_imagenet(*crops: int) -> Made:
    from s3net.imagenet.learner import Learner

    return Learner(_s3_chain("sparse"), 0.1), (*crops, 3, 32, 32)


LEARNERS: dict[str, Callable[[], Made]] = {
    **{
        f"asap convnet {m}": partial(_asap, "convnet", m) for m in ("bp", "fa", "dfa", "kp", "asap")
    },
    **{
        f"asap {n} {m}": partial(_asap, n, m)
        for n in ("resnet18", "resnet18_not")
        for m in ("bp", "fa", "dfa", "kp", "asap", "asap_k4")
    },
    "asap resnet34": partial(_asap, "resnet34", "asap"),
    "asap transport": partial(_asap, "resnet18", "asap", wt=True),
    "asap adam": partial(_asap, "resnet18", "asap", adam=True),
    **{f"asap fa {f}": partial(_asap, "convnet", "fa", fa_feedback=f) for f in ("copy", "tied")},
    **{
        f"burstprop {f} {r}": partial(_burstprop, feedback=f, recurrent=r)
        for f in ("learned", "fixed")
        for r in ("learned", "fixed", None)
    },
    **{
        f"burstprop backprop {'matched' if m else 'torch'}": partial(_backprop, m)
        for m in (False, True)
    },
    **{
        f"burstprop noise {k} {m}": partial(_perturbation, k, m)
        for k in ("rule", "original")
        for m in ("all", "layers", "units")
    },
    **{
        f"burstprop imagenet {f} {o}": partial(_burst_imagenet, f, o)
        for f in ("learned", "fixed", None)
        for o in ("sgd", "adam")
    },
    **{
        f"lra_e {r} {o}": partial(_lra_e, r, o)
        for r in ("lra_e", "bp", "fixed_e")
        for o in ("adamw", "sgd")
    },
    "lra_e gamma": partial(_lra_e, gamma=0.5, bias=True),
    "lra_e transposed": partial(_lra_e, transposed_e=True),
    "lra_e cauchy": partial(_lra_e, local_loss="cauchy", error_form="difference"),
    "lra_e normalised sum": partial(_lra_e, normalise=True, reduction="sum"),
    "lra_e reports after": partial(_lra_e, after=True),
    **{
        f"s3net {w}": partial(_s3, partial(_s3_chain, w))
        for w in ("sparse", "dense", "residual", "plain")
    },
    "s3net enlarged": partial(_s3, partial(_s3_chain, "sparse"), side=16, size=32),
    **{f"s3net cifar {w}": partial(_s3, partial(_s3_cifar, w)) for w in ("sparse", "dense")},
    **{
        f"s3net {name}": partial(_s3, partial(_s3_named, name))
        for name in (
            "ghostnet",
            "se_resnet50",
            "oct_resnet50",
            "lambda_resnet50",
            "scalenet50",
            "randwire_ws",
            "mobilenet_v2",
        )
    },
    "s3net imagenet": _s3_imagenet,
    **from_papers("META"),
}


def batch(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """Images and labels without values."""
    labels = torch.empty(BATCH, dtype=torch.int64, device="meta")
    return torch.empty(BATCH, *shape, device="meta"), labels


def foreign(values: Any) -> list[str]:
    """Where a tensor lies that is not on the meta device."""
    if isinstance(values, torch.Tensor):
        return [] if values.device.type == "meta" else [str(values.device)]
    if isinstance(values, dict):  # an Adam that is not fused counts its steps on the CPU
        items = [(name, each) for name, each in values.items() if not name.endswith(".step")]
        return [f"{name}: {device}" for name, each in items for device in foreign(each)]
    if isinstance(values, list | tuple):
        return [device for each in values for device in foreign(each)]
    return []


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_steps_where_tensors_have_no_values(name):
    """Training twice (the second step meets what the first left), test, credit, state, and back."""
    with torch.device("meta"):
        learner, shape = LEARNERS[name]()
    images, labels = batch(shape)
    for _ in range(2):
        assert not foreign(learner.train_step(images, labels))
    assert not foreign(learner.eval_step(images, labels))
    pairs = learner.credit(images, labels)
    assert pairs and not foreign(pairs)
    assert all(mine.shape == theirs.shape for mine, theirs in pairs.values())
    state = learner.state()
    assert state and not foreign(state)
    learner.load_state(state)
    if hasattr(learner, "feedback"):
        assert not foreign(learner.feedback())


def test_ten_crops_are_averaged_where_tensors_have_no_values():
    """The ImageNet test that sees several crops of an image."""
    with torch.device("meta"):
        learner, shape = _s3_imagenet(10)
    assert not foreign(learner.eval_step(*batch(shape)))


@pytest.mark.parametrize("algorithm", ["BrainProp", "EBP"])
@pytest.mark.parametrize("architecture", ["dense", "conv", "loccon", "deep"])
def test_brainprops_rule_in_pytorch_steps_where_tensors_have_no_values(architecture, algorithm):
    """Its user writes the loop: forward, selection, loss, backward, a step; then both tests."""
    from brainprop.pytorch import networks, rule

    widths = {1500: 12, 1000: 11, 500: 10, 32: 4, 64: 3, 128: 4}
    with torch.device("meta"):
        net = networks.make_network(architecture, (8, 8, 3), CLASSES, widths=widths)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    images, labels = batch((8, 8, 3))
    q = net.train()(images)
    if algorithm == "BrainProp":
        selected = rule.select(q)
        loss = rule.brainprop_loss(q, selected, labels, batch_size=BATCH)
        assert not foreign([selected, rule.correct_as_the_original(q, selected, labels)])
    else:
        loss = torch.nn.functional.cross_entropy(q, labels)
    (loss + net.penalty(1e-4)).backward()
    optimiser.step()
    tested = rule.evaluation_loss(net.eval()(images), labels, batch_size=BATCH)
    assert not foreign([loss, net.state_dict(), tested])


def test_a_step_that_waits_for_a_value_is_found():
    """What this file is for: two mistakes planted in a learner, both noticed."""
    with torch.device("meta"):
        learner, shape = _asap("convnet", "bp")
    images, labels = batch(shape)
    with pytest.raises(RuntimeError, match="meta tensors"):
        learner.train_step(images, labels)[0].item()
    with pytest.raises(RuntimeError, match="meta"):
        learner.train_step(images, labels)[0] + torch.ones(1)
