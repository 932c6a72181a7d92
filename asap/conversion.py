"""Turn an existing model into one that learns by feedback alignment, ASAP, DFA and their kin."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from asap.converting import direct, shared
from asap.converting.watch import Call, watch
from asap.layers import FEEDBACK, FeedbackConv2d, FeedbackLinear
from common.doors.arguments import integer
from common.errors import ArgumentError, unknown

MODES = (*FEEDBACK, "asap", "dfa")
FEEDBACK_LAYERS: dict[type[nn.Module], type] = {
    nn.Linear: FeedbackLinear,
    nn.Conv2d: FeedbackConv2d,
}
_SHARING = {shared.SharingLinear: FeedbackLinear, shared.SharingConv2d: FeedbackConv2d}
_OURS = (*FEEDBACK_LAYERS, *FEEDBACK_LAYERS.values(), *_SHARING)
_HOOKS = (direct.Hook, shared.Empty)


def convert(
    model: nn.Module,
    feedback: str = "fixed",
    skip: Collection[str] = (),
    *,
    share: int | Mapping[str, str] | None = None,
    linears: bool = False,
    at: Collection[str] | None = None,
    images: Any = None,
) -> list[nn.Parameter]:
    """Convert, in place, every nn.Linear and nn.Conv2d of `model` but those named in `skip`.

    feedback   "fixed" (feedback alignment), "kp" (Kolen-Pollack), "uniform", "batchwise" or
               "frozen" (sign symmetry with one, fresh or frozen magnitudes): see `asap.layers`;
               "asap" (activation sharing, Woo et al. 2021) or "dfa" (direct feedback, Nokland 2016)
    share      of asap: how many layers learn from one input, in order of execution (2, see
               `asap.converting.shared.in_order`); or {layer: the layer whose input it learns from},
               where those that are not named learn from their own
    linears    of asap: with a number, linear layers but the last share too; else, as in the
               paper, a linear layer learns from its own input and its B is fixed
    at         of dfa: which modules' outputs receive the error, or "input of NAME". None: every
               activation module's before the last layer; in a model without any, every layer's but
               the last. Layers between two receivers send the exact error
    images     one batch, or the tuple of the model's arguments, for "dfa" and a number of `share`:
               one forward pass, that changes nothing, shows what runs when and how large it is

    The layers stay the objects that they are, and so do their weights and biases: an optimiser
    that holds them goes on, hooks stay, a layer used in two places stays one, the model is called
    as before and the forward pass keeps its bits. Only B (or F) is new; the B's that learn ("kp",
    "asap") are returned, for `optimiser.add_param_group`, with the weight decay that W has. The B
    of a frozen layer (`weight.requires_grad` is False) does not learn and is not among them. The
    paper's ASAP freezes the first layer; here it learns unless you freeze it. Subclasses of the two
    layers are left as they are: we do not know what they compute.

    A model that has been converted before gets a new B of the new mode, in the place of its old
    one, which an optimiser may go on to hold and no longer moves; a layer in `skip` that shared
    goes on with its own input. `deconvert` undoes everything.

    ArgumentError, in one sentence that names the layer, before anything is changed: an unknown
    name, a layer whose weight is computed (parametrised), not made yet (lazy) or no real
    floating-point tensor, a shared input that does not tile, a sharing layer that runs twice, a
    receiver that does not run, an output that is not (N, classes), a model without such layers.
    """
    if feedback not in MODES:
        raise unknown("feedback", feedback, MODES)
    for name, value, mode in (("share", share, "asap"), ("at", at, "dfa")):
        if value is not None and feedback != mode:
            raise ArgumentError(name, f"(={value}) goes with feedback {mode}, not {feedback}")
    layers: dict[str, Any] = dict(model.named_modules())
    chosen = _chosen(layers, skip)
    groups, receivers = None, None
    output: Any = None
    if feedback == "asap":
        groups = _groups(model, layers, chosen, share, linears, images)
    if feedback == "dfa":
        calls, output = _watched(model, layers, images)
        direct.classes_of(output)
        receivers = direct.places(calls, at, layers, output.shape[0])
    _release(model)
    if receivers is not None:
        for layer in chosen.values():
            _plain(layer)
        direct.receive_at(model, layers, receivers, output)
        return []
    for name, layer in chosen.items():
        _become(layer, _own(name, layer, feedback, groups))
    if groups is not None:
        shared.wire(model, chosen, groups)
    return [
        layer.weight_fa
        for layer in chosen.values()
        if layer.feedback == "kp" and layer.weight_fa.requires_grad
    ]


def deconvert(model: nn.Module) -> None:
    """The plain model again, in place: nn.Linear and nn.Conv2d, W and b the objects that they are.

    B, F and our hooks are gone; yours stay. A model that was never converted stays as it is, and so
    does a `SharedConv2d` or a `DirectFeedback` that the model itself calls as such.
    """
    _release(model)
    for layer in model.modules():
        if type(layer) in FEEDBACK_LAYERS.values():
            _plain(layer)


def _chosen(layers: Mapping[str, Any], skip: Collection[str]) -> dict[str, Any]:
    """The layers to convert, by name; ArgumentError for those that cannot be."""
    for name in skip:
        if name not in layers:
            raise unknown("skip", name, layers)
    plain = tuple[Any, ...](FEEDBACK_LAYERS)
    chosen = {n: m for n, m in layers.items() if type(m) in _OURS and n not in skip}
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
    return chosen


def _reparametrised(layer: nn.Module) -> bool:
    """weight_norm's and spectral_norm's first versions keep the weight out of the parameters."""
    return isinstance(layer, tuple(FEEDBACK_LAYERS)) and "weight" not in layer._parameters


def _watched(
    model: nn.Module, layers: Mapping[str, nn.Module], images: Any
) -> tuple[list[Call], Any]:
    if images is None:
        raise ArgumentError(
            "images",
            "must be one batch of the model's input: it shows the order "
            "and the sizes of the layers",
        )
    return watch(model, images, layers)


def _groups(
    model: nn.Module,
    layers: Mapping[str, nn.Module],
    chosen: Mapping[str, nn.Module],
    share: int | Mapping[str, str] | None,
    linears: bool,
    images: Any,
) -> dict[str, str]:
    """Layer -> the layer whose input it learns from."""
    plain = {n: m for n, m in layers.items() if isinstance(m, nn.Linear | nn.Conv2d)}
    if isinstance(share, Mapping):
        calls = [] if images is None else watch(model, images, plain)[0]
        return shared.by_name(share, chosen, calls)
    k = integer("share", 2 if share is None else share)
    groups = shared.in_order(_watched(model, plain, images)[0], chosen, k, linears)
    if k > 1 and all(name == leader for name, leader in groups.items()):
        raise ArgumentError(
            "share",
            "finds no layer that could learn from another's input: there "
            "must be two convolutions behind the first, or `linears`",
        )
    return groups


def _own(name: str, layer: nn.Module, feedback: str, groups: Mapping[str, str] | None) -> str:
    """The mode of one layer's B. ASAP: fixed in linear layers that neither serve nor learn."""
    if groups is None:
        return feedback
    shares = name in groups or name in groups.values()
    return "kp" if shares or isinstance(layer, nn.Conv2d) else "fixed"


def _become(layer: Any, feedback: str) -> None:
    fan_in = layer.weight[0].numel()
    layer.__class__ = FEEDBACK_LAYERS.get(type(layer), type(layer))
    layer._grow_feedback(feedback)
    if feedback in ("fixed", "kp"):
        layer.draw_feedback(fan_in**-0.5)


def _plain(layer: Any) -> None:
    """nn.Linear or nn.Conv2d again; W and b are not touched."""
    layer.__class__ = {ours: plain for plain, ours in FEEDBACK_LAYERS.items()}.get(
        type(layer), type(layer)
    )
    for held in (layer._parameters, layer._buffers):
        for name in ("weight_fa", "scale"):
            held.pop(name, None)
    for name in ("feedback", "exact", "moved"):
        layer.__dict__.pop(name, None)


def _release(model: nn.Module) -> None:
    """No slots, no receivers, no hooks of ours: what shared learns from its own input."""
    for module in model.modules():
        ours: list[Any] = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
        for hook in ours:
            if not isinstance(hook, _HOOKS):
                continue
            for handle in hook.handles:
                handle.remove()
            for name in getattr(hook, "buffers", ()):
                module._buffers.pop(name, None)
            if isinstance(hook, direct.Receiver) and type(module) not in FEEDBACK_LAYERS.values():
                module.__dict__.pop("exact", None)
        if type(module) in _SHARING:
            shared.unwire([module])
            module.__class__ = _SHARING[type(module)]
