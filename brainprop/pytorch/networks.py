"""The four networks in PyTorch, number for number those of `brainprop.networks` (TensorFlow):

    >>> import torch
    >>> from brainprop.pytorch.networks import make_network
    >>> net = make_network("conv", (28, 28, 1), 10)
    >>> q = net(torch.rand(4, 28, 28, 1))        # images (n, H, W, C), as Keras has them
    >>> q.shape
    torch.Size([4, 10])

Inside, activations are `(n, C, H, W)` in channels_last memory, so that the first and the last
permutation cost nothing. Parameters have torch's own layouts; `load_arrays` and `arrays` translate
from and to Keras', under the names `conv1.kernel`, `bn1.gamma`, ...
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brainprop.recipes import LAYERS, network_settings
from common.backends.torch_layout import laid
from common.doors import torch_images


def same_padding(size: Sequence[int], kernel: int, stride: int) -> list[int]:
    """Left, right, top, bottom, as TensorFlow pads: the odd one goes right and below, so that
    stride 2 on an even size pads (0, 1)."""
    pads: list[int] = []
    for n in reversed(size):
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    return pads


class Conv2d(nn.Conv2d):
    """Square kernel, no bias; `padding` "same" as TensorFlow has it, or "valid"."""

    def __init__(self, inputs: int, filters: int, kernel: int, stride: int, padding: str) -> None:
        super().__init__(inputs, filters, kernel, stride, bias=False)
        self.scheme = padding

    def forward(self, x: Tensor) -> Tensor:
        """`(n, C, H, W)` -> `(n, filters, H_out, W_out)`."""
        if self.scheme == "same":
            x = F.pad(x, same_padding(x.shape[2:], self.kernel_size[0], self.stride[0]))
        return super().forward(x)


class LocallyConnected2d(nn.Module):
    """A convolution whose weights are not shared: `weight` `(positions, kernel^2 * C, filters)`,
    positions row-major, a patch's entries by row, column and channel.

    With the batch innermost a patch takes one contiguous block from each pixel, so one gather of
    blocks and one batched product do it.
    """

    pixels: Tensor

    def __init__(
        self,
        inputs: int,
        filters: int,
        kernel: int,
        stride: int,
        padding: str,
        size: tuple[int, int],
    ) -> None:
        super().__init__()
        pads = same_padding(size, kernel, stride) if padding == "same" else [0, 0, 0, 0]
        height, width = size[0] + pads[2] + pads[3], size[1] + pads[0] + pads[1]
        self.output = ((height - kernel) // stride + 1, (width - kernel) // stride + 1)
        self.pads = pads
        rows, columns = (
            torch.arange(n)[:, None] * stride + torch.arange(kernel) for n in self.output
        )
        pixels = rows[:, None, :, None] * width + columns[None, :, None, :]
        self.register_buffer("pixels", pixels.flatten(), persistent=False)
        positions = math.prod(self.output)
        self.weight = nn.Parameter(torch.empty(positions, kernel**2 * inputs, filters))

    def forward(self, x: Tensor) -> Tensor:
        """`(n, C, H, W)` -> `(n, filters, H_out, W_out)`."""
        x = F.pad(x, self.pads) if any(self.pads) else x
        n, channels, height, width = x.shape
        positions, entries, _ = self.weight.shape
        turned = x.permute(0, 2, 3, 1).reshape(n, -1).t().reshape(height * width, channels * n)
        patches = turned.index_select(0, self.pixels).view(positions, entries, n)
        y = torch.bmm(patches.transpose(1, 2), self.weight)
        return y.transpose(0, 1).reshape(n, *self.output, -1).permute(0, 3, 1, 2)


class BatchNorm2d(nn.BatchNorm2d):
    """Keras' constants: running statistics move by 0.01, epsilon is 1e-3. The running variance is
    the "unbiased" one, as in TensorFlow 2's fused kernel and torch, or "biased" as in Keras 3."""

    MOVES = 0.01

    def __init__(self, channels: int, variance: str = "unbiased") -> None:
        super().__init__(channels, eps=1e-3, momentum=self.MOVES)
        self.biased = variance == "biased"

    def forward(self, x: Tensor) -> Tensor:
        """`(n, C, H, W)`, unchanged in shape."""
        if not (self.training and self.biased):
            return super().forward(x)
        running, moves = self.running_var, self.MOVES
        assert running is not None
        variance, count = running.clone(), x.numel() // x.shape[1]
        y = F.batch_norm(
            x, self.running_mean, variance, self.weight, self.bias, True, moves, self.eps
        )
        kept = running * (1 - moves)
        running.copy_(kept + (variance - kept) * ((count - 1) / count))
        return y


class Flatten(nn.Module):
    """`(n, C, H, W)` -> `(n, H * W * C)`, in Keras' order."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.permute(0, 2, 3, 1).flatten(1)


class Network(nn.Sequential):
    """Layers in order, under the traces' names; `forward` gives q `(n, C)`."""

    def forward(self, images: Tensor, masks: Iterable[Tensor] = ()) -> Tensor:
        """Images `(n, H, W, C)`. masks: what each dropout keeps in training, `(n, H, W, C)` or
        `(n, units)`, instead of drawing it."""
        images = torch_images.batch(images, next(self.parameters()), (None, None, None))
        x, given = laid(images.permute(0, 3, 1, 2), torch.channels_last), list(masks)
        for layer in self:
            if isinstance(layer, nn.Dropout) and given:
                mask = given.pop(0)
                mask = mask.permute(0, 3, 1, 2) if mask.ndim == 4 else mask
                x = x * mask.to(x.dtype) / (1 - layer.p)
            else:
                x = layer(x)
        return x

    def penalty(self, l2: float) -> Tensor | float:
        """l2 times the squares of every kernel; batch norm's gamma and beta have none."""
        if not l2:
            return 0.0
        return l2 * sum(
            (w.square().sum() for name, w in self.named_parameters() if _is_kernel(self, name)),
            start=torch.zeros(()),
        )


def make_network(
    architecture: str,
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    padding: str | None = None,
    widths: Mapping[int, int] | None = None,
    dropout: Sequence[float] | None = None,
    variance: str = "unbiased",
    std: float | None = None,
    generator: torch.Generator | None = None,
) -> Network:
    """A network for images `input_shape` (H, W, C), its kernels drawn from N(0, std^2).

    padding, dropout, std   None: the architecture's own
    widths                  original width -> the one to use, for narrow nets
    variance                of batch norm's moving average (brainprop, D4)

    Raises ArgumentError for an unknown architecture and for a number out of its range.
    """
    how = network_settings(architecture, classes, std, dropout, padding, widths, variance)
    make = _Maker(input_shape, how.padding, how.widths, list(how.rates), variance)
    for kind, width, stride in LAYERS[architecture]:
        if kind == "image":
            make.image(width, stride, unshared=architecture == "loccon")
        else:
            make.make(kind, width)
    make.add("out", nn.Linear(make.channels, how.classes, bias=False))
    net = Network(OrderedDict(make.layers))
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if _is_kernel(net, name):
                weight.normal_(0, how.std, generator=generator)
    return net.to(memory_format=torch.channels_last)


class _Maker:
    """Makes layers, numbers them by kind and follows the shape."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        padding: str,
        widths: dict[int, int],
        rates: list[float],
        variance: str,
    ) -> None:
        self.size, self.channels = (shape[0], shape[1]), shape[2]
        self.padding, self.widths, self.rates, self.variance = padding, widths, rates, variance
        self.layers: dict[str, nn.Module] = {}

    def add(self, kind: str, layer: nn.Module) -> None:
        number = 1 + sum(name.rstrip("0123456789") == kind for name in self.layers)
        self.layers[f"{kind}{number}"] = layer

    def image(self, width: int, stride: int, unshared: bool) -> None:
        """A 3 x 3 layer, ReLU, batch norm."""
        width = self.widths.get(width, width)
        arguments = (self.channels, width, 3, stride, self.padding)
        if unshared:
            self.add("lc", LocallyConnected2d(*arguments, self.size))
        else:
            self.add("conv", Conv2d(*arguments))
        shrink = 0 if self.padding == "same" else 2
        self.size = tuple(-(-(n - shrink) // stride) for n in self.size)  # type: ignore[assignment]
        self.channels = width
        self.add("relu", nn.ReLU())
        self.add("bn", BatchNorm2d(width, self.variance))

    def make(self, kind: str, width: int) -> None:
        """A layer of another kind."""
        if kind == "dense":
            width = self.widths.get(width, width)
            self.add("dense", nn.Linear(self.channels, width, bias=False))
            self.add("relu", nn.ReLU())
            self.channels = width
        elif kind == "pool":
            self.add("pool", nn.MaxPool2d(2))
            self.size = (self.size[0] // 2, self.size[1] // 2)
        elif kind == "drop":
            self.add("drop", nn.Dropout(self.rates.pop(0)))
        else:
            self.add("flatten", Flatten())
            self.channels *= math.prod(self.size)


KERAS_NAMES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def _is_kernel(net: Network, name: str) -> bool:
    return not isinstance(net.get_submodule(name.split(".")[0]), nn.BatchNorm2d)


def tensors(net: Network) -> dict[str, Tensor]:
    """Every parameter and running statistic in Keras' layout, sharing the network's memory."""
    named: dict[str, Tensor] = {}
    for name, tensor in net.state_dict(keep_vars=False).items():
        layer, kind = name.split(".")
        if kind == "num_batches_tracked":
            continue
        if not _is_kernel(net, name):
            named[f"{layer}.{KERAS_NAMES[kind]}"] = tensor
        elif tensor.ndim == 4:
            named[f"{layer}.kernel"] = tensor.permute(2, 3, 1, 0)
        else:
            named[f"{layer}.kernel"] = tensor.t() if tensor.ndim == 2 else tensor
    return named


def arrays(net: Network) -> dict[str, np.ndarray]:
    """Copies of all parameters and running statistics, in Keras' layout."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors(net).items()}


def load_arrays(net: Network, values: Mapping[str, np.ndarray]) -> None:
    """Put arrays in Keras' layout into the network. ValueError for wrong names or shapes."""
    ours = tensors(net)
    if set(ours) != set(values):
        raise ValueError(f"arrays {sorted(set(ours) ^ set(values))} are missing or too many")
    for name, tensor in ours.items():
        if tensor.shape != values[name].shape:
            shapes = f"{tuple(values[name].shape)}, not {tuple(tensor.shape)}"
            raise ValueError(f"array {name} has shape {shapes}")
        tensor.copy_(torch.as_tensor(values[name]))
