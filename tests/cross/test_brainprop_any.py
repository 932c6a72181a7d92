"""BrainProp on plain models of torch's and Keras' own layers, beside our TensorFlow learner."""

from functools import partial
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
torch = pytest.importorskip("torch")
import keras  # noqa: E402
from torch import nn  # noqa: E402

from brainprop import networks, rule  # noqa: E402
from brainprop.layers.conversion import convert as keras_convert  # noqa: E402
from brainprop.layers.values import ActionValueLoss  # noqa: E402
from brainprop.learner import Draws, Learner  # noqa: E402
from brainprop.pytorch import BrainPropLoss, convert, make_network, select  # noqa: E402
from brainprop.pytorch.networks import Flatten, Network, arrays, load_arrays  # noqa: E402

SHAPE, CLASSES, BATCH, LR, DECAY, EPSILON = (8, 8, 2), 5, 8, 0.05, 0.1, 0.3
WIDTHS = {1500: 12, 1000: 11, 500: 10, 32: 4}
KIND: dict[str, Any] = {"widths": WIDTHS, "dropout": (0.0, 0.0)}


def learner(architecture: str, feedback: str) -> Learner:
    """Ours, exploring often enough to see it."""
    more: dict[str, Any] = {
        "std": 0.3,
        "dtype": "float64",
        "seed": 3,
        "l2": 0.0,
        "epsilon": EPSILON,
    }
    kind: dict[str, Any] = KIND if architecture == "conv" else {"widths": WIDTHS}
    net = networks.make_network(architecture, SHAPE, CLASSES, **kind | more)
    settings: dict[str, Any] = {"feedback": feedback, "feedback_decay": DECAY, "epsilon": EPSILON}
    return Learner(net, batch_size=BATCH, lr=LR, **settings)


def plain(architecture: str) -> tuple[nn.Sequential, Network]:
    """The network of torch's own layers under the same names, and ours."""
    kind: dict[str, Any] = KIND if architecture == "conv" else {"widths": WIDTHS}
    ours = make_network(architecture, SHAPE, CLASSES, **kind).double()
    net = nn.Sequential()
    layer: Any
    for name, layer in ours.named_children():
        if name == "conv1":
            layer = nn.Conv2d(2, 4, 3, padding=1, bias=False)
        elif name == "conv2":  # TensorFlow's padding of a stride, spelt out
            net.add_module("pad", nn.ZeroPad2d((0, 1, 0, 1)))
            layer = nn.Conv2d(4, 4, 3, 2, bias=False)
        elif name.startswith("bn"):
            layer = nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)
        elif name.startswith(("dense", "out")):
            layer = nn.Linear(layer.in_features, layer.out_features, bias=False)
        else:
            assert isinstance(layer, (nn.ReLU, nn.Dropout, Flatten)), name
        net.add_module(name, layer)
    return net.double(), ours


def batches(learner: Learner):
    """Images, labels, u, actions to explore and all-keeping masks of three steps."""
    random = np.random.default_rng(5)
    for n in (BATCH, BATCH, BATCH - 3):
        images, labels = random.random((n, *SHAPE)), random.integers(0, CLASSES, n)
        u, explore = random.random(n).astype(np.float32), random.integers(0, CLASSES, n)
        masks = [np.ones((n, *x.input.shape[1:]), bool) for x in learner.dropouts]
        yield images, labels, u, explore, masks


def values(net) -> dict[str, np.ndarray]:
    return {f"{x.name}.{v.name}": v.numpy().copy() for x in net.layers for v in x.weights}


@pytest.mark.parametrize("feedback", ["shared", "separate"])
@pytest.mark.parametrize("architecture", ["dense", "conv"])
def test_a_model_of_torchs_layers_takes_our_learners_steps(architecture, feedback):
    """BrainProp for anybody's model that is another BrainProp: weights, statistics and B."""
    teacher = learner(architecture, feedback)
    model, ours = plain(architecture)
    load_arrays(ours, values(teacher.net))
    model.load_state_dict(ours.state_dict())
    weights = [p for p in model.parameters() if p.dim() > 1]
    lowest = next(n for n, p in model.named_parameters() if p.dim() > 1).split(".")[0]
    decayed = []
    if feedback == "separate":
        new = convert(model, skip=[lowest])
        decayed = [*weights[1:], *new]
        with torch.no_grad():
            for name, B in teacher.B.items():
                kernel = torch.as_tensor(B.numpy())
                turned = kernel.permute(3, 2, 0, 1) if kernel.ndim == 4 else kernel.t()
                model.get_parameter(f"{name}.B").copy_(turned)
    others = [p for p in model.parameters() if not any(p is d for d in decayed)]
    groups: list[dict[str, Any]] = [{"params": others}]
    groups += [{"params": decayed, "weight_decay": DECAY}] if decayed else []
    optimiser = torch.optim.SGD(groups, LR)
    for images, labels, u, explore, masks in batches(teacher):
        given = Draws(tf.constant(u), tf.constant(explore), [tf.constant(m) for m in masks])
        teacher.train_step(tf.constant(images), tf.constant(labels), given)
        chances = {"u": torch.as_tensor(u), "drawn": torch.as_tensor(explore)}
        drawn = partial(select, **chances, epsilon=EPSILON)
        loss = BrainPropLoss(batch_size=BATCH, select=drawn)
        optimiser.zero_grad()
        x = torch.as_tensor(images).permute(0, 3, 1, 2)
        loss(model(x), torch.as_tensor(labels)).backward()
        optimiser.step()
    feedback_weights = {name: layer.B for name, layer in model.named_modules() if _has_B(layer)}
    assert feedback_weights.keys() == teacher.B.keys()
    for name, B in feedback_weights.items():
        turned = B.permute(2, 3, 1, 0) if B.ndim == 4 else B.t()
        np.testing.assert_allclose(turned.detach(), teacher.B[name].numpy(), 0, 1e-12)
    convert(model, "shared")
    ours.load_state_dict(model.state_dict())
    found = arrays(ours)
    for name, value in values(teacher.net).items():
        np.testing.assert_allclose(found[name], value, 0, 1e-12, err_msg=name)


def _has_B(layer: nn.Module) -> bool:
    return "B" in dict(layer.named_parameters(recurse=False))


@pytest.mark.parametrize("feedback", ["shared", "separate"])
@pytest.mark.parametrize("architecture", ["dense", "conv"])
def test_a_model_of_keras_layers_takes_our_learners_steps(architecture, feedback):
    """The same from Keras' side: a loss, or a layer with B, that is another rule than ours."""
    teacher = learner(architecture, feedback)
    model = keras.models.clone_model(teacher.net, clone_function=_as_keras)
    model.build((None, *SHAPE))
    names = [x.name for x in teacher.net.layers if hasattr(x, "kernel")]
    for new, old in zip(model.layers, teacher.net.layers, strict=True):
        if new.weights:
            new.set_weights([v.numpy() for v in old.weights[: len(new.weights)]])
    if feedback == "separate":
        model = keras_convert(model, skip=names[:1])
        for name, B in teacher.B.items():
            model.get_layer(name).B.assign(B)
    for images, labels, u, explore, masks in batches(teacher):
        given = Draws(tf.constant(u), tf.constant(explore), [tf.constant(m) for m in masks])
        teacher.train_step(tf.constant(images), tf.constant(labels), given)
        drawn = partial(rule.select, u=given.u, drawn=given.explore, epsilon=EPSILON)
        loss = ActionValueLoss(batch_size=BATCH, select=drawn, dtype="float64")
        with tf.GradientTape() as tape:
            taught = loss(labels, model(images, training=True))
        variables = model.trainable_variables
        gradients = tape.gradient(taught, [v.value for v in variables])
        for v, gradient in zip(variables, gradients, strict=True):
            decay = DECAY if v.path.split("/")[-2] in teacher.B else 0.0
            v.assign(v - LR * (gradient + decay * v))
    for name, B in teacher.B.items():
        np.testing.assert_allclose(model.get_layer(name).B.numpy(), B.numpy(), 0, 1e-12)
    found = values(model)
    for name, value in values(teacher.net).items():
        if not name.endswith("moving_variance"):  # Keras 3's is biased (brainprop, D4)
            np.testing.assert_allclose(found[name], value, 0, 1e-12, err_msg=name)


def _as_keras(layer):
    """Keras' own layers in the place of ours."""
    config = layer.get_config()
    if type(layer).__name__ == "BrainPropLayer":
        units = {"units": layer.units, "use_bias": False}
        return keras.layers.Dense(name=layer.name, dtype="float64", **units)
    if type(layer).__name__ == "BatchNormalization":
        config.pop("variance")
        return keras.layers.BatchNormalization.from_config(config)
    return type(layer).from_config(config)
