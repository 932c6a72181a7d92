"""Turn an existing model's linear and convolutional layers into layers with feedback weights."""

from collections.abc import Collection
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from asap.layers import FEEDBACK, FeedbackConv2d, FeedbackLinear
from common.errors import ArgumentError, unknown

TWINS: dict[type[nn.Module], type] = {nn.Linear: FeedbackLinear, nn.Conv2d: FeedbackConv2d}


def convert(
    model: nn.Module, feedback: str = "fixed", skip: Collection[str] = ()
) -> list[nn.Parameter]:
    """Convert, in place, every nn.Linear and nn.Conv2d of `model` but those named in `skip`.

    feedback   as for `asap.layers`: "fixed" (feedback alignment), "kp" (Kolen-Pollack), "uniform",
               "batchwise" or "frozen" (sign symmetry with one, fresh or frozen magnitudes)

    The layers stay the objects that they are, and so do their weights and biases: an optimiser
    that holds them goes on, hooks stay, a layer used in two places stays one, and the forward pass
    keeps its bits. Only B is new; the B's that learn ("kp") are returned, for
    `optimiser.add_param_group`, with the weight decay that W has. Subclasses of the two layers are
    left as they are: we do not know what they compute.

    UsageError for an unknown name, a layer in `skip` that is not there, or a layer whose weight is
    computed (parametrised) or not made yet (lazy).
    """
    if feedback not in FEEDBACK:
        raise unknown("feedback", feedback, FEEDBACK)
    layers = dict(model.named_modules())
    for name in skip:
        if name not in layers:
            raise unknown("skip", name, layers)
    chosen = {n: m for n, m in layers.items() if type(m) in TWINS and n not in skip}
    for name, layer in layers.items():
        lazy = isinstance(layer, nn.modules.lazy.LazyModuleMixin)
        if lazy and isinstance(layer, tuple(TWINS)) and name not in skip:
            raise ArgumentError(
                "model", f"must have run once before it is converted: layer {name} is lazy"
            )
        computed = parametrize.is_parametrized(layer) or _reparametrised(layer)
        if computed and isinstance(layer, tuple(TWINS)) and name not in skip:
            raise ArgumentError(
                "model",
                f"must have plain weights, and layer {name} has a computed weight: remove its "
                "parametrisation, or put it into `skip`",
            )
    learning = []
    for layer in chosen.values():
        _become(layer, feedback)
        if feedback == "kp":
            learning.append(layer.B)
    return learning


def _reparametrised(layer: nn.Module) -> bool:
    """weight_norm's and spectral_norm's first versions keep the weight out of the parameters."""
    return isinstance(layer, tuple(TWINS)) and "weight" not in layer._parameters


def _become(layer: Any, feedback: str) -> None:
    fan_in = layer.weight[0].numel()
    layer.__class__ = TWINS[type(layer)]
    layer._grow_feedback(feedback)
    if feedback in ("fixed", "kp"):
        layer.draw_feedback(fan_in**-0.5)
