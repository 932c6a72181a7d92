"""BrainProp's steps at full size: the published pairs, the learner of `brainprop.main`.

`ebp` is error-backprop of the same net with the same learner, dropout and batch norm; `fit` is the
same net and rule under Keras' own compile and train_on_batch. `separate` has feedback weights of
its own, which are moved like the forward ones.
"""

from collections.abc import Callable
from typing import Any

from benchmarks.steps import Case

FRAMEWORKS = ("tensorflow",)
TIMING = {"warm_up": 3, "block": 1, "least": 12}  # up to a second a step
NETS = {
    "dense": ((28, 28, 1), 128),
    "conv": ((28, 28, 1), 128),
    "loccon": ((28, 28, 1), 32),
    "deep": ((32, 32, 3), 128),
}
LARGER = {"conv-cifar": ((32, 32, 3), 128), "loccon-cifar": ((32, 32, 3), 32)}
RULES = {
    "ebp": ("EBP", "shared"),
    "brainprop": ("BrainProp", "shared"),
    "separate": ("BrainProp", "separate"),
}


def cases(framework: str, device: str, depth: bool) -> list[Case]:
    """Every rule of every architecture on its smallest data; `depth`: CIFAR's shapes too."""
    return [
        case
        for net, (shape, size) in {**NETS, **(LARGER if depth else {})}.items()
        for case in _cases(net, shape, size)
    ]


def _cases(net: str, shape: tuple[int, int, int], size: int) -> list[Case]:
    import tensorflow as tf

    from brainprop.learner import Learner
    from brainprop.networks import make_network

    architecture = net.partition("-")[0]
    images = tf.random.stateless_uniform((size, *shape), (0, 0))
    labels = tf.random.stateless_uniform((size,), (0, 1), 0, 10, tf.int64)
    steps = []
    for rule, (algorithm, feedback) in RULES.items():
        model = make_network(architecture, shape, 10, algorithm)
        learner = Learner(model, algorithm, batch_size=size, feedback=feedback)
        steps.append(Case(net, rule, size, _read(learner.train_step, images, labels)))
    steps.append(Case(net, "fit", size, _fit(architecture, shape, size, images, labels)))
    return steps


def _read(train_step: Callable, images: Any, labels: Any) -> Callable[[], Any]:
    """A step whose end is waited for."""
    return lambda: train_step(images, labels)[0].numpy()


def _fit(architecture: str, shape: Any, size: int, images: Any, labels: Any) -> Callable[[], Any]:
    """The Keras citizens in anybody's `compile`."""
    import keras

    from brainprop.layers.loss import BrainPropLoss
    from brainprop.networks import make_network

    model = make_network(architecture, shape, 10)
    model.compile(keras.optimizers.SGD(0.1), BrainPropLoss(size))
    return lambda: model.train_on_batch(images, labels)
