"""Small networks of every torch paper, each trained in a fork of this process: a line of JSON says
how each ended. `test_memory` starts it under glibc's malloc checker, which ends a process whose
memory is damaged. Images are a user's: either order in memory, grey ones with either strides."""

import ctypes
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from asap.conversion import convert
from asap.layers import backprop
from asap.learner import Learner as AsapLearner
from asap.learner import sgd
from asap.networks import make_network as asap_network
from benchmarks.memory_sweep import forked
from brainprop.pytorch.networks import make_network as brainprop_network
from burstprop.imagenet import learner as imagenet_learner
from burstprop.imagenet.networks import rectified
from burstprop.learner import BackpropLearner, BurstLearner
from burstprop.networks import stack
from burstprop.update import BurstUpdate
from common.data.datasets import Split
from common.data.torch_batches import TorchBatches
from lra_e.torch_learner import Learner as LraLearner
from lra_e.torch_learner import adamw
from lra_e.torch_rule import MLP
from s3net.learner import Learner as S3Learner
from s3net.networks import S3Net

BATCH, CLASSES = 8, 10
LABELS = torch.arange(BATCH) % CLASSES


def orders(channels: int, size: int) -> Iterator[Tensor]:
    """The same images in the orders in which users have them, and as our batches give them."""
    pixels = torch.randint(256, (BATCH, size, size, channels), dtype=torch.uint8)
    yield (pixels.float() / 255).permute(0, 3, 1, 2)
    yield (pixels.float() / 255).permute(0, 3, 1, 2).clone(memory_format=torch.contiguous_format)
    split = Split(pixels.numpy(), LABELS.numpy())
    yield from (images for images, _ in TorchBatches(split, BATCH, layout="NCHW"))


def steps(learner: object, channels: int, size: int) -> None:
    """A step, a test and an audit with each of them."""
    for images in orders(channels, size):
        for call in ("train_step", "eval_step", "credit"):
            getattr(learner, call)(images, LABELS)


def asap(channels: int) -> None:
    """Narrow networks in every kind of mode; the shortcuts of ResNet are strided 1x1."""
    for model, mode in (("convnet", "asap"), *(("resnet18", m) for m in ("bp", "dfa", "asap_k4"))):
        net = asap_network(model, mode, width=0.05, channels=channels, size=32)
        steps(AsapLearner(net, sgd(0.1)), channels, 32)


def converted(channels: int) -> None:
    """A user's narrow network in channels-last, where plain torch would corrupt memory."""
    for feedback in ("fixed", "kp"):
        net = nn.Sequential(
            *(nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
            *(nn.Conv2d(4, 8, 1, 2), nn.ReLU(), nn.Conv2d(8, 15, 1, 2, bias=False)),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(15, CLASSES)),
        ).to(memory_format=torch.channels_last)
        convert(net, feedback)
        for images in orders(channels, 64):
            nn.functional.cross_entropy(net(images), LABELS).backward()
            with backprop(net):
                nn.functional.cross_entropy(net(images), LABELS).backward()


def burstprop(channels: int) -> None:
    """Burstprop and backprop, sigmoid and rectified, with a strided 1x1 convolution within."""
    shape, sizes = [(channels, 4, 3, 1), (4, 8, 1, 2), (8, 8, 3, 2)], [8 * 7 * 7, 20, CLASSES]
    for last in (True, False):
        for feedback in ("learned", None):
            net = stack(shape, sizes, feedback=feedback)
            if last:
                net = net.to(memory_format=torch.channels_last)
            update = BurstUpdate(net, [0.1] * 5)
            steps(
                BurstLearner(net, update) if feedback else BackpropLearner(net, 0.1), channels, 34
            )
            rectifying = rectified(shape, sizes, feedback=feedback)
            optimiser = imagenet_learner.sgd()
            learner = imagenet_learner.Learner(rectifying, [0.1] * 5, optimiser)
            steps(learner, channels, 34)


def s3net(channels: int) -> None:
    """Narrow nets of the paper's, and one with the strided 1x1 convolutions of others."""
    for wiring in ("sparse", "dense", "residual"):
        net: Any = S3Net(4, (2, 2), 8, classes=CLASSES, wiring=wiring)
        net.features.conv0 = nn.Conv2d(channels, 8, 7, stride=2, padding=3, bias=False)
        steps(S3Learner(net, 0.1, size=32), channels, 32)
    plain = nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.Conv2d(4, 8, 1, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )
    steps(S3Learner(plain, 0.1), channels, 64)


def brainprop(channels: int) -> None:
    """The four networks, narrow; images are Keras' (N, H, W, C)."""
    narrow = {32: 4, 64: 4, 128: 6, 500: 20, 1000: 20, 1500: 20}
    for architecture in ("dense", "conv", "loccon", "deep"):
        net = brainprop_network(architecture, (16, 16, channels), CLASSES, widths=narrow)
        for images in orders(channels, 16):
            nn.functional.cross_entropy(net(images.permute(0, 2, 3, 1)), LABELS).backward()


def lra_e(channels: int) -> None:
    """Flat images, every layer's W and E in one buffer."""
    learner = LraLearner(MLP([channels * 64, 20, 20, CLASSES]), adamw(1e-3))
    for images in orders(channels, 8):
        for call in ("train_step", "eval_step", "credit"):
            getattr(learner, call)(images.flatten(1), LABELS)


def planted() -> None:
    """A write past the end, which the checker must see or it sees nothing."""
    tensor = torch.empty(100)
    ctypes.memset(tensor.data_ptr(), 7, 4 * 100 + 64)
    del tensor


PAPERS: tuple[Callable[[int], None], ...] = (asap, converted, burstprop, s3net, brainprop, lra_e)
COLOURS = {"grey": 1, "colour": 3}


def main() -> int:
    """All of them, one after another."""
    for paper in PAPERS:
        for colour, channels in COLOURS.items():
            how, text = forked(lambda: paper(channels))  # noqa: B023
            print(json.dumps([f"{paper.__name__}-{colour}", how, text]), flush=True)
    print(json.dumps(["planted", *forked(planted)]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
