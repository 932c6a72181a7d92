"""Burstprop's steps: batch 32, momentum, beside backprop of the same net with torch's fused SGD.

    bp                 autograd, channels-last like the rules, no gradient for the images
    learned, fixed     feedback weights that learn or stay; _rec: with recurrent apical input
    perturbation       node perturbation, all layers at once; _original: in the program's form
    learned_rec_angles measuring delta angles in every step (off in training but for one step)
    products_*         the floor of a rule: its matrix products and convolutions, and one copy of
                       the rates, which stands for the second phase; nothing else

CIFAR-10's net with fixed feedback has the narrow one's width here, unlike in `train_cifar10`.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.steps import Case

FRAMEWORKS = ("torch",)
TIMING = {"block": 4, "warm_up": 8}
BATCH = 32
SHAPES = {"fc3": (784,), "mnist_conv": (1, 28, 28), "cifar10": (3, 32, 32)}
RULES = (
    "bp",
    "learned_rec",
    "learned",
    "fixed_rec",
    "fixed",
    "perturbation",
    "perturbation_original",
    "learned_rec_angles",
    "products_bp",
    "products_learned_rec",
    "products_fixed",
)


def cases(framework: str, device: str, depth: bool) -> list[Case]:
    """Every rule of the three nets."""
    import torch

    steps = []
    for net, shape in SHAPES.items():
        images = torch.randn(BATCH, *shape, device=device)
        if len(shape) == 3:
            images = images.contiguous(memory_format=torch.channels_last)
        labels = torch.randint(10, (BATCH,), device=device)
        for rule in RULES:
            floor = rule.removeprefix("products_")
            step = _learner(net, rule, device) if floor == rule else _products(net, floor, device)
            steps.append(Case(net, rule, BATCH, lambda s=step, x=images, y=labels: s(x, y)))  # type: ignore[misc]
    return steps


def _learner(net_name: str, rule: str, device: str) -> Callable[[Any, Any], object]:
    """The training step of a rule."""
    from burstprop.learner import BackpropLearner, BurstLearner, PerturbationLearner
    from burstprop.perturbation.original import OriginalPerturbation
    from burstprop.perturbation.rule import Noise, Perturbation
    from burstprop.update import BurstUpdate

    kind, *more = rule.split("_")
    net = _network(net_name, rule, device)
    if kind == "bp":
        return BackpropLearner(net, 1e-4, 0.9, 1e-6).train_step
    rates = [1e-4] * len(net.names)
    update = BurstUpdate(net, rates, momentum=0.9, weight_decay=1e-6, recurrent_lr=1e-6)
    if kind == "perturbation":
        form = OriginalPerturbation if "original" in more else Perturbation
        return PerturbationLearner(net, update, form(net, "all", Noise(), 0.001)).train_step
    return BurstLearner(net, update, average="angles" in more).train_step


def _network(net_name: str, rule: str, device: str) -> Any:
    """The net that a rule needs: with Y and Z, or without."""
    import torch

    from burstprop import networks

    kind, *more = rule.split("_")
    how: dict[str, Any] = {"feedback": kind if kind in ("learned", "fixed") else None}
    how["recurrent"] = "learned" if "rec" in more else None
    net = networks.make_network({"fc3": "mnist"}.get(net_name, net_name), **how)
    return net.to(device).to(memory_format=torch.channels_last)


def _products(net_name: str, rule: str, device: str) -> Callable[[Any, Any], None]:
    """What no implementation of a rule can do without, at the rates of one batch: up through W;
    down through Y for both phases, or through W for backprop's one; the sums over samples for W
    (where they are products, added to the momentum); the recurrent input and its gradient."""
    import torch

    from burstprop.layers import BurstLinear

    net = _network(net_name, rule, device)
    layers = net.layers
    momenta = [torch.zeros_like(layer.weight) for layer in layers]

    def up_and_down(images: Any, _: Any) -> None:
        with torch.no_grad():
            inputs, rates = [], []
            for layer in layers:
                inputs.append(images)
                images = layer.potential(images)
                rates.append(images)
            for i in reversed(range(len(layers))):
                layer, e = layers[i], rates[i]
                Y = layer.weight if rule == "bp" else layer.weight_fa
                if layer.weight_r is not None:
                    c = e @ layer.weight_r.t()
                    layer.weight_r.addmm_(c.t(), e, alpha=1e-9)
                if i:
                    sent = e if rule == "bp" else e.repeat(2, *[1] * (e.dim() - 1))
                    layer.transport(sent, Y, inputs[i].shape[1:])
                if isinstance(layer, BurstLinear):
                    momenta[i].addmm_(e.t(), inputs[i].flatten(1), beta=0.9, alpha=-1e-9)
                else:
                    layer.gradients(e, inputs[i])

    return up_and_down
