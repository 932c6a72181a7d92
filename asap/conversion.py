"""Turn an existing model's linear and convolutional layers into layers with feedback weights."""

from collections.abc import Collection
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from asap.layers import FEEDBACK, FeedbackConv2d, FeedbackLinear
from common.errors import ArgumentError, unknown

FEEDBACK_LAYERS: dict[type[nn.Module], type] = {
    nn.Linear: FeedbackLinear,
    nn.Conv2d: FeedbackConv2d,
}


def convert(
    model: nn.Module, feedback: str = "fixed", skip: Collection[str] = ()
) -> list[nn.Parameter]:
    """Convert, in place, every nn.Linear and nn.Conv2d of `model` but those named in `skip`.

    feedback   as for `asap.layers`: "fixed" (feedback alignment), "kp" (Kolen-Pollack), "uniform",
               "batchwise" or "frozen" (sign symmetry with one, fresh or frozen magnitudes)

    The layers stay the objects that they are, and so do their weights and biases: an optimiser
    that holds them goes on, hooks stay, a layer used in two places stays one, and the forward pass
    keeps its bits. Only B is new; the B's that learn ("kp") are returned, for
    `optimiser.add_param_group`, with the weight decay that W has. The B of a frozen layer
    (`weight.requires_grad` is False) does not learn and is not among them. Subclasses of the two
    layers are left as they are: we do not know what they compute.

    A layer that has been converted before gets a new B of the new mode, in the place of its old
    one, which an optimiser may go on to hold and no longer moves.

    ArgumentError for an unknown name, a layer in `skip` that is not there, a layer whose weight is
    computed (parametrised), not made yet (lazy) or no real floating-point tensor, and for a model
    in which there is nothing to convert.
    """
    if feedback not in FEEDBACK:
        raise unknown("feedback", feedback, FEEDBACK)
    layers: dict[str, Any] = dict(model.named_modules())
    for name in skip:
        if name not in layers:
            raise unknown("skip", name, layers)
    ours, plain = (*FEEDBACK_LAYERS, *FEEDBACK_LAYERS.values()), tuple[Any, ...](FEEDBACK_LAYERS)
    chosen = {n: m for n, m in layers.items() if type(m) in ours and n not in skip}
    for name, layer in layers.items():
        if not isinstance(layer, plain) or name in skip:
            continue
        if isinstance(layer, nn.modules.lazy.LazyModuleMixin):
            raise ArgumentError(
                "model", f"has the lazy layer {name}: run the model once before converting it"
            )
        if parametrize.is_parametrized(layer) or _reparametrised(layer):
            raise ArgumentError(
                "model",
                f"has layer {name} with a computed weight: remove its "
                "parametrisation, or put it into `skip`",
            )
        W = layer.weight
        if name in chosen and not (W.dtype.is_floating_point and W.numel()):
            raise ArgumentError(
                "model",
                f"has layer {name} with weights {tuple(W.shape)} of "
                f"{W.dtype}: only real floating-point ones learn",
            )
    if not chosen:
        raise ArgumentError("model", "has no nn.Linear and no nn.Conv2d to convert")
    for layer in chosen.values():
        _become(layer, feedback)
    if feedback != "kp":
        return []
    return [layer.B for layer in chosen.values() if layer.B.requires_grad]


def _reparametrised(layer: nn.Module) -> bool:
    """weight_norm's and spectral_norm's first versions keep the weight out of the parameters."""
    return isinstance(layer, tuple(FEEDBACK_LAYERS)) and "weight" not in layer._parameters


def _become(layer: Any, feedback: str) -> None:
    fan_in = layer.weight[0].numel()
    layer.__class__ = FEEDBACK_LAYERS.get(type(layer), type(layer))
    layer._grow_feedback(feedback)
    if feedback in ("fixed", "kp"):
        layer.draw_feedback(fan_in**-0.5)
