"""Any update of a PyTorch model beside backprop's gradient of the same model, loss and images.

    >>> import torch
    >>> from common.credit import compare
    >>> model, loss = torch.nn.Linear(3, 2, bias=False), torch.nn.functional.cross_entropy
    >>> images, labels = torch.ones(4, 3), torch.tensor([0, 1, 1, 1])
    >>> loss(model(images), labels).backward()  # or whatever rule fills the .grads
    >>> print(compare(None, model, loss, (images, labels)))
    layer   cosine  angle  norm ratio  signs agree
    weight  +1.000    0.0       1.000       100.0%

A module with its own derivatives has an attribute `exact`, which makes it use the true ones while
it is True (`asap.layers` do, and so may yours): that is how the reference is backprop's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from common.credit.comparison import Comparison, compare_arrays
from common.errors import ArgumentError

Update = Mapping[str, Tensor] | Callable[[nn.Module, Tensor, Tensor], Mapping[str, Tensor]] | None


def compare(
    update: Update,
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
) -> Comparison:
    """A rule's update of `model` beside the gradient of loss(model(images), labels).

    update   name of a parameter -> direction of its shape, as a gradient is (what an optimiser
             subtracts); or a function (model, images, labels) -> that; None: the .grads that the
             parameters hold now
    batch    images and labels as the model and the loss take them

    Compared are the parameters that the update names, in the model's order. Nothing of the model
    changes: not its .grads, buffers, mode, nor torch's generators. ArgumentError for an update that
    names no parameter of the model, one that is frozen, or none.
    """
    images, labels = batch
    parameters = dict(model.named_parameters())
    with _unchanged(model):
        if update is None:
            given = {n: p.grad.clone() for n, p in parameters.items() if p.grad is not None}
        else:
            given = dict(update(model, images, labels) if callable(update) else update)
        if not given:
            raise ArgumentError("update", "names no parameter: no .grad is there to compare")
        for name in given:
            if name not in parameters:
                raise ArgumentError("update", f"names {name}, which is no parameter of the model")
            if not parameters[name].requires_grad:
                raise ArgumentError("update", f"names {name}, which is frozen: it has no gradient")
        names = [name for name in parameters if name in given]
    with _unchanged(model), exact(model), torch.enable_grad():
        value = loss(model(images), labels)
        gradients = torch.autograd.grad(
            value, [parameters[n] for n in names], allow_unused=True, materialize_grads=True
        )
    reference = dict(zip(names, gradients, strict=True))
    return compare_arrays({name: given[name] for name in names}, reference)


@contextmanager
def exact(model: nn.Module) -> Iterator[nn.Module]:
    """Every module of the model that has an attribute `exact` uses the true derivatives."""
    with made_exact([m for m in model.modules() if isinstance(getattr(m, "exact", None), bool)]):
        yield model


@contextmanager
def made_exact(modules: Sequence[Any]) -> Iterator[None]:
    """These modules' attribute `exact` is True for a while, and then what it was."""
    before = [module.exact for module in modules]
    try:
        for module in modules:
            module.exact = True
        yield
    finally:
        for module, was in zip(modules, before, strict=True):
            module.exact = was


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Buffers, .grads and torch's generators are put back; both passes draw the same numbers."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    grads = [(p, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    devices = {p.device.index for p in model.parameters() if p.device.type == "cuda"}
    try:
        with torch.random.fork_rng([d for d in devices if d is not None]):
            yield
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
        for parameter, grad in grads:
            parameter.grad = grad
