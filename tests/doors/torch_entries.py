"""Every public way by which labels enter a PyTorch rule: name -> what it computes from them.

Each call builds its network anew from one seed, so that equal labels give equal bits.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.papers import from_papers

B, C = 5, 5  # equal: where a row and a column could be taken for one another
DOUBLE: dict[str, Any] = {"dtype": torch.float64}
Entry = Callable[[Any], list[Tensor]]


def images(*shape: int) -> Tensor:
    return torch.rand(B, *shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def flat(*result: Any) -> list[Tensor]:
    """All tensors in nested results."""
    out: list[Tensor] = []
    for each in result:
        if isinstance(each, Tensor):
            out.append(each.detach().clone())
        elif isinstance(each, dict):
            out += flat(*each.values())
        elif isinstance(each, list | tuple):
            out += flat(*each)
    return out


def _mlp() -> Any:
    from lra_e.torch_rule import MLP

    torch.manual_seed(1)
    return MLP([6, 4, C], bias=True, **DOUBLE)


def _lra_e(method: str) -> Entry:
    def enter(labels: Any) -> list[Tensor]:
        model = _mlp()
        return flat(getattr(model, method)(images(6), labels), list(model.parameters()))

    return enter


def _learner(make: Callable[[], Any], method: str, *shape: int) -> Entry:
    """A learner's method, and everything that it keeps afterwards."""

    def enter(labels: Any) -> list[Tensor]:
        learner = make()
        learner.watch = True
        return flat(getattr(learner, method)(images(*shape), labels), learner.state())

    return enter


def _lra_e_learner() -> Any:
    from lra_e.torch_learner import Learner, adamw

    return Learner(_mlp(), adamw(0.01))


def _brainprop(name: str, *more: Any, **named: Any) -> Entry:
    def enter(labels: Any) -> list[Tensor]:
        from brainprop.pytorch import rule

        q = images(C).sub_(0.5).requires_grad_()
        result = getattr(rule, name)(q, *more, labels, **named)
        return flat(result, torch.autograd.grad(result.sum(), q) if result.requires_grad else ())

    return enter


def _brainprop_in_any_network(labels: Any) -> list[Tensor]:
    from brainprop.pytorch import BrainPropLoss

    q = images(C).sub_(0.5).requires_grad_()
    found = BrainPropLoss(select=lambda q: ACTIONS)(q, labels)
    return flat(found, torch.autograd.grad(found, q))


def _burst_net() -> Any:
    from burstprop.networks import stack

    torch.manual_seed(1)
    return stack((), [6, 4, 4, C], recurrent="learned").double()


def _burst(method: str, **named: Any) -> Entry:
    def enter(labels: Any) -> list[Tensor]:
        return flat(getattr(_burst_net(), method)(images(6), labels, **named))

    return enter


def _units(module: str, name: str, **how: Any) -> Entry:
    def enter(labels: Any) -> list[Tensor]:
        from importlib import import_module

        units = getattr(import_module(f"burstprop.{module}"), name)(**how)
        return flat(units.bursts(images(C), labels))

    return enter


def _rectified(name: str) -> Entry:
    def enter(labels: Any) -> list[Tensor]:
        from burstprop.imagenet import rule

        return flat(getattr(rule, name)(images(C), labels, 0.2, 1e-5))

    return enter


def _perturbed(module: str, name: str) -> Entry:
    def enter(labels: Any) -> list[Tensor]:
        from importlib import import_module

        from burstprop.perturbation.rule import Noise

        net = _burst_net()
        kind = getattr(import_module(f"burstprop.{module}"), name)
        output, updates = kind(net, "all", Noise(), 0.001).updates(images(6), labels)
        return flat(output, [list(each) for each in updates])

    return enter


def _burst_learner() -> Any:
    from burstprop.learner import BurstLearner
    from burstprop.update import BurstUpdate

    net = _burst_net()
    return BurstLearner(net, BurstUpdate(net, [0.1, 0.1, 0.01]))


def _looked(labels: Any) -> list[Tensor]:
    learner = _burst_learner()
    learner.look(images(6), labels)
    return flat(learner.delta_angles)


def _burst_backprop() -> Any:
    from burstprop.learner import BackpropLearner

    return BackpropLearner(_burst_net(), 0.1, 0.9)


def _burst_matched() -> Any:
    from burstprop.learner import MatchedBackpropLearner
    from burstprop.update import BurstUpdate

    net = _burst_net()
    return MatchedBackpropLearner(net, BurstUpdate(net, [0.1, 0.1, 0.01]), 0.2)


def _burst_noise() -> Any:
    from burstprop.learner import PerturbationLearner
    from burstprop.perturbation.rule import Noise, Perturbation
    from burstprop.update import BurstUpdate

    net = _burst_net()
    noise = Perturbation(net, "all", Noise(), 0.001)
    return PerturbationLearner(net, BurstUpdate(net, [0.1, 0.1, 0.01]), noise)


def _burst_target(labels: Any) -> list[Tensor]:
    from burstprop.learner import target

    return [target(_burst_net(), images(6), labels)]


def _loss(labels: Any) -> list[Tensor]:
    from common.backends.torch_learner import cross_entropy

    return [cross_entropy(images(C), labels)]


def _burst_images() -> Any:
    from burstprop.imagenet.learner import Learner, sgd
    from burstprop.imagenet.networks import rectified

    torch.manual_seed(1)
    net = rectified([(3, 4, 3, 2)], [4 * 3 * 3, C]).double()
    return Learner(net, [0.02, 0.01], sgd())


def _asap() -> Any:
    from asap.learner import Learner, sgd
    from asap.networks import make_network

    torch.manual_seed(1)
    net = make_network("convnet", "asap", width=0.04, size=16, classes=C, fa_feedback="independent")
    return Learner(net.double(), sgd(0.05))


def _plain_net() -> torch.nn.Sequential:
    torch.manual_seed(1)
    layers = torch.nn.Conv2d(3, 4, 3, 2), torch.nn.Flatten(), torch.nn.Linear(36, C)
    return torch.nn.Sequential(*layers).double()


def _s3net() -> Any:
    from s3net.learner import Learner

    return Learner(_plain_net(), 0.1)


def _explained(labels: Any) -> list[Tensor]:
    from s3net.interpretability.rule import fullgrad

    maps = fullgrad(_plain_net(), images(3, 7, 7), labels)
    return flat(maps.saliency, maps.targets)


def _s3net_images() -> Any:
    from s3net.imagenet.learner import Learner

    return Learner(_plain_net(), 0.1)


ACTIONS = torch.tensor([0, 3, 2, 1, 4])
ENTRIES: dict[str, Entry] = {
    "lra_e.torch_rule.MLP.compute_lra_update": _lra_e("compute_lra_update"),
    "lra_e.torch_rule.MLP.compute_backprop_update": _lra_e("compute_backprop_update"),
    "lra_e.torch_rule.MLP.backward": _lra_e("backward"),
    "lra_e.torch_learner.Learner.train_step": _learner(_lra_e_learner, "train_step", 6),
    "lra_e.torch_learner.Learner.eval_step": _learner(_lra_e_learner, "eval_step", 6),
    "lra_e.torch_learner.Learner.credit": _learner(_lra_e_learner, "credit", 6),
    "brainprop.pytorch.rule.prediction_error": _brainprop("prediction_error", ACTIONS),
    "brainprop.pytorch.rule.brainprop_loss": _brainprop("brainprop_loss", ACTIONS, batch_size=8),
    "brainprop.pytorch.rule.evaluation_loss": _brainprop("evaluation_loss", batch_size=8),
    "brainprop.pytorch.rule.correct_as_the_original": _brainprop(
        "correct_as_the_original", ACTIONS
    ),
    "brainprop.pytorch.loss.BrainPropLoss.forward": _brainprop_in_any_network,
    "burstprop.rule.SigmoidOutput.bursts": _units("rule", "SigmoidOutput"),
    "burstprop.imagenet.rule.SoftmaxOutput.bursts": _units("imagenet.rule", "SoftmaxOutput"),
    "burstprop.imagenet.rule.output_original": _rectified("output_original"),
    "burstprop.imagenet.rule.output_exact": _rectified("output_exact"),
    "burstprop.networks.BurstNetwork.two_phase_pass": _burst("two_phase_pass", reference=True),
    "burstprop.networks.BurstNetwork.backprop": _burst("backprop"),
    "burstprop.perturbation.rule.Perturbation.updates": _perturbed(
        "perturbation.rule", "Perturbation"
    ),
    "burstprop.perturbation.original.OriginalPerturbation.updates": _perturbed(
        "perturbation.original", "OriginalPerturbation"
    ),
    "burstprop.learner.BurstLearner.train_step": _learner(_burst_learner, "train_step", 6),
    "burstprop.learner.BackpropLearner.train_step": _learner(_burst_backprop, "train_step", 6),
    "burstprop.learner.BurstLearner.eval_step": _learner(_burst_learner, "eval_step", 6),
    **{
        f"burstprop.learner.{kind}.{method}": _learner(make, method, 6)
        for method in ("update", "credit")
        for kind, make in (
            ("BurstLearner", _burst_learner),
            ("BackpropLearner", _burst_backprop),
            ("MatchedBackpropLearner", _burst_matched),
            ("PerturbationLearner", _burst_noise),
        )
    },
    "burstprop.learner.BurstLearner.look": _looked,
    "burstprop.learner.target": _burst_target,
    "burstprop.imagenet.learner.Learner.train_step": _learner(_burst_images, "train_step", 3, 7, 7),
    "burstprop.imagenet.learner.Learner.update": _learner(_burst_images, "update", 3, 7, 7),
    "burstprop.imagenet.learner.Learner.eval_step": _learner(_burst_images, "eval_step", 3, 7, 7),
    "burstprop.imagenet.learner.Learner.gradients": _learner(_burst_images, "gradients", 3, 7, 7),
    "burstprop.imagenet.learner.Learner.credit": _learner(_burst_images, "credit", 3, 7, 7),
    "asap.learner.Learner.train_step": _learner(_asap, "train_step", 3, 16, 16),
    "asap.learner.Learner.update": _learner(_asap, "update", 3, 16, 16),
    "asap.learner.Learner.differentiate": _learner(_asap, "differentiate", 3, 16, 16),
    "asap.learner.Learner.eval_step": _learner(_asap, "eval_step", 3, 16, 16),
    "asap.learner.Learner.credit": _learner(_asap, "credit", 3, 16, 16),
    **{
        f"common.backends.torch_learner.TorchLearner.{method}": _learner(_s3net, method, 3, 7, 7)
        for method in (
            "train_step",
            "update",
            "eval_step",
            "differentiate",
            "backprop_gradients",
            "credit",
        )
    },
    "common.backends.torch_learner.cross_entropy": _loss,
    "s3net.interpretability.rule.fullgrad": _explained,
    "s3net.imagenet.learner.Learner.train_step": _learner(_s3net_images, "train_step", 3, 7, 7),
    "s3net.imagenet.learner.Learner.eval_step": _learner(_s3net_images, "eval_step", 2, 3, 7, 7),
    **from_papers("LABELS"),
}
