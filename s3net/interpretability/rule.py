"""FullGrad (Srinivas & Fleuret, NeurIPS 2019): a logit split into input and bias gradients.

For a network of ReLUs, convolutions, batch norms and linear layers in eval mode

    f_c(x) = <df_c/dx, x> + sum_l <df_c/dz_l, b_l>                              (completeness)

z_l is the output of layer l and b_l its bias; of a batch norm the effective one,
beta - mean * gamma / sqrt(var + eps). The map adds up what each term holds, position by position.

One backward pass serves all layers and all images: the sum of the chosen logits has each image's
own gradient, as no image sees another in eval mode. A tensor hook reads each layer's gradient on
its way, so that no more of them are held than backward itself holds, and gets the gradient of
the value before an in-place ReLU overwrites it. Interpolation is linear: maps of one size are
added first and enlarged once.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from common.doors.torch_labels import classes
from common.errors import UserError

EPSILON = 1e-6


@dataclass(frozen=True)
class BiasGradient:
    """One use of a layer: `sums`, `l2` `(N,)` of its bias gradient, which has `ndim` axes."""

    name: str
    ndim: int
    sums: Tensor
    l2: Tensor


@dataclass
class FullGrad:
    """What `fullgrad` says of N images."""

    saliency: Tensor  # (N, 1, H, W), not rescaled
    logits: Tensor  # (N, classes)
    targets: Tensor  # (N,), the class that was explained
    input_gradient: Tensor  # (N, C, H, W)
    total: Tensor  # (N,), float64: right-hand side of completeness
    layers: list[BiasGradient] = field(default_factory=list)  # in module order

    @property
    def errors(self) -> Tensor:
        """|logit - total| of every image, relative to the larger of the two; float64 `(N,)`."""
        logit = self.logits.gather(1, self.targets[:, None])[:, 0].double()
        scale = torch.maximum(logit.abs(), self.total.abs()).clamp_min(1e-12)
        return (logit - self.total).abs() / scale


def biases(model: nn.Module) -> dict[str, Tensor]:
    """Name -> effective bias `(channels,)` of every layer that has one, in module order.

    Raises UserError for a batch norm without running statistics: it is not affine in one image.
    """
    effective = {}
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm):
            if layer.running_mean is None or layer.running_var is None:
                raise UserError(f"batch norm {name} keeps no running statistics: no FullGrad")
            slope = torch.rsqrt(layer.running_var + layer.eps)
            if layer.weight is not None:
                slope = slope * layer.weight
            shift = -layer.running_mean * slope
            effective[name] = (shift if layer.bias is None else shift + layer.bias).detach()
        elif isinstance(layer, (_ConvNd, nn.Linear)) and layer.bias is not None:
            effective[name] = layer.bias.detach()
    return effective


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients of parameters, for a while; then all as it was."""
    modes = [(module, module.training) for module in model.modules()]
    wanted = [p for p in model.parameters() if p.requires_grad]
    try:
        model.eval().requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter in wanted:
            parameter.requires_grad_(True)


def spread(magnitudes: Tensor, weights: Tensor) -> Tensor:
    """Sum over channels of psi(magnitudes * weights): `(N, C, H, W)`, `(C,)` -> `(N, 1, H, W)`.

    psi subtracts the minimum and divides by what is then the maximum (plus 1e-6), both over all
    channels and positions of an image. Neither the product nor psi is formed channel by channel.
    """
    low = (magnitudes.amin((2, 3)) * weights).amin(1)
    high = (magnitudes.amax((2, 3)) * weights).amax(1)
    added = torch.einsum("nchw,c->nhw", magnitudes, weights)
    low, high = low[:, None, None], high[:, None, None]
    return ((added - magnitudes.shape[1] * low) / (high - low + EPSILON))[:, None]


class _Collector:
    """Adds up what the gradients of the layers' outputs bring, as backward delivers them."""

    def __init__(self, images: Tensor, details: bool) -> None:
        self.total = torch.zeros(len(images), dtype=torch.float64, device=images.device)
        self.by_size: dict[tuple[int, ...], Tensor] = {}
        self.layers: list[tuple[int, BiasGradient]] = []
        self.details = details

    def watch(
        self, order: int, name: str, bias: Tensor, last: bool
    ) -> Callable[[nn.Module, object, Tensor], None]:
        """A forward hook; `last`: channels are the last axis (linear), else axis 1."""

        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(lambda grad: self.take(order, name, bias, last, grad))

        return hook

    def take(self, order: int, name: str, bias: Tensor, last: bool, grad: Tensor) -> None:
        channels = grad.ndim - 1 if last else 1
        others = [axis for axis in range(1, grad.ndim) if axis != channels]
        summed = (grad.sum(others) if others else grad).double() @ bias.double()
        self.total += summed
        if grad.ndim == 4 and not last:
            size = tuple(grad.shape[2:])
            map_ = spread(grad.abs(), bias.abs())
            self.by_size[size] = self.by_size[size] + map_ if size in self.by_size else map_
        if self.details:
            shape = [1] * grad.ndim
            shape[channels] = -1
            l2 = (grad * bias.view(shape)).flatten(1).norm(dim=1)
            self.layers.append((order, BiasGradient(name, grad.ndim, summed, l2)))


def fullgrad(
    model: nn.Module, images: Tensor, targets: Tensor | None = None, *, details: bool = False
) -> FullGrad:
    """FullGrad of `images` `(N, C, H, W)` for class `targets` `(N,)`, by default the arg max.

    The model may be in train mode, have in-place ReLUs or use a layer twice; it is left as it
    was. What FullGrad does not hold for (another nonlinearity, local response norm) shows in
    `errors`. `details`: fill `layers`. Raises UserError for a batch norm without statistics, and
    for targets as `common.doors.torch_labels` does for labels.
    """
    with torch.enable_grad(), ExitStack() as stack:
        stack.enter_context(frozen(model))
        x = images.detach().clone().requires_grad_()
        collector = _Collector(x, details)
        modules = dict(model.named_modules())
        for order, (name, bias) in enumerate(biases(model).items()):
            hook = collector.watch(order, name, bias, isinstance(modules[name], nn.Linear))
            stack.callback(modules[name].register_forward_hook(hook).remove)
        logits = model(x * 1)  # a model that begins with an in-place layer may not write on a leaf
        chosen = (
            logits.detach().argmax(1) if targets is None else classes(targets, logits, "targets")
        )
        value = logits.gather(1, chosen[:, None]).sum()
        (gradient,) = torch.autograd.grad(value, x)
    with torch.no_grad():
        product = (gradient * images).detach()
        total = collector.total + product.flatten(1).sum(1, dtype=torch.float64)
        saliency = spread(product.abs(), product.new_ones(product.shape[1]))
        size = tuple(images.shape[2:])
        for map_ in collector.by_size.values():
            saliency += F.interpolate(map_, size, mode="bilinear", align_corners=True)
    layers = [layer for _, layer in sorted(collector.layers, key=lambda pair: pair[0])]
    return FullGrad(saliency, logits.detach(), chosen, gradient, total, layers)
