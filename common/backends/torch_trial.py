"""Try a network on paper: on torch's meta device, where tensors have shapes and no memory.

What could only fail hours later, or by taking the machine with it, is told in one line before
training begins: weights or a batch larger than memory, images too small for the network, and a
batch of one image under batch norm.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from common.backends import memory
from common.errors import ArgumentError

COPIES = 3  # of a weight: itself, its gradient and one moment at least
USUAL = 224  # side of an image that every network takes


def affordable(make: Callable[[], nn.Module]) -> None:
    """UsageError where the network that `make` gives would not fit into this machine's memory.

    `make` is called under the meta device: the network takes no memory and draws no numbers.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        net = make()
    sizes = (t.numel() * t.element_size() for t in (*net.parameters(), *net.buffers()))
    memory.check(COPIES * sum(sizes), "the network's weights, gradients and momenta")


def rehearse(net: nn.Module, train_set: Any, shape: Iterable[int], dtype: torch.dtype) -> None:
    """Every size of batch that an epoch has goes through the network once, on paper.

    train_set  its `images` an epoch and its `batch_size` (`common.data.batches`,
               `common.data.torch_stream`)
    shape      of one image as the network takes it, dtype its type

    ArgumentError for "batch_size" where a batch is too small for batch norm or too large for
    memory, for "image_size" where images of this size vanish on their way.
    """
    if any(isinstance(module, nn.SyncBatchNorm) for module in net.modules()):
        return  # it wants a GPU, and counts the images of all processes
    shape, size, images = tuple(shape), train_set.batch_size, train_set.images
    largest, last = min(size, images), images % size or min(size, images)
    kept = fits(net, shape, dtype)
    if kept is None:
        return
    if 1 in (largest, last):
        try:
            _passed(net, (1, *shape), dtype)
        except ArgumentError:  # of the network's own, and no question of batch norm
            raise
        except ValueError as error:
            raise ArgumentError(
                "batch_size",
                f"(={size}) makes a batch of one of {images} images, and batch norm needs two; "
                "choose another",
            ) from error
    device = next(net.parameters()).device
    there = memory.total()
    if device.type == "cuda":
        there = torch.cuda.get_device_properties(device).total_memory
    memory.check(kept * largest, f"a batch of {largest} images", there, f"the {device.type}")


def fits(net: nn.Module, shape: Iterable[int], dtype: torch.dtype) -> int | None:
    """Bytes that a network's layers put out for one image of this shape; None where the meta device
    cannot tell. ArgumentError for "image_size" where images of this size vanish on their way."""
    shape = tuple(shape)
    try:
        return _passed(net, (2, *shape), dtype) // 2
    except RuntimeError as error:
        # Of this size, or of what the meta device cannot do? A usual image tells.
        if len(shape) < 3 or not _passes(net, (2, shape[0], USUAL, USUAL), dtype):
            return None
        text = f"(={shape[-1]}): images of {shape[-2]} x {shape[-1]} vanish on their way"
        raise ArgumentError("image_size", text) from error


def _passes(net: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> bool:
    try:
        _passed(net, shape, dtype)
    except ArgumentError:
        raise
    except (RuntimeError, ValueError):
        return False
    return True


def _passed(net: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> int:
    """Bytes of all that the network's layers put out on the way through, in training."""
    kept = 0

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal kept
        if isinstance(output, Tensor) and not list(layer.children()):
            kept += output.numel() * output.element_size()

    state = {
        name: torch.empty_like(tensor, device="meta", requires_grad=tensor.requires_grad)
        for name, tensor in (*net.named_parameters(), *net.named_buffers())
    }
    training, hooks = net.training, [m.register_forward_hook(note) for m in net.modules()]
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), torch.device("meta"):
            torch.func.functional_call(net.train(), state, torch.empty(shape, dtype=dtype))
    finally:
        for hook in hooks:
            hook.remove()
        net.train(training)
    return kept
