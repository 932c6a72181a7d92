"""One step of every pair at full size: its loss, outputs, and statistics of what changed."""

import numpy as np
import tensorflow as tf

from brainprop.layers.forward import forward
from brainprop.learner import Draws, Learner
from brainprop.networks import make_network
from tests.golden.trace import Trace

SHAPES = {
    "MNIST": (28, 28, 1),
    "CIFAR10": (32, 32, 3),
    "CIFAR100": (32, 32, 3),
    "TinyImageNet": (64, 64, 3),
}
CLASSES = {"MNIST": 10, "CIFAR10": 10, "CIFAR100": 100, "TinyImageNet": 200}
SAMPLES, LR = 4, 0.01
# float32 with a batch of four: some kernels' norms move by up to one percent (brainprop, 11).
LOSS, STATISTICS, OUTPUTS = 5e-4, 0.02, 5e-3


def replay(trace: Trace) -> None:
    seed = trace.integer("seed")
    for pair in sorted({key.split("/")[0] for key in trace if "/" in key}):
        one(trace, pair, seed)


def one(trace: Trace, pair: str, seed: int) -> None:
    dataset, architecture, algorithm = pair.split("-")
    shape, classes = SHAPES[dataset], CLASSES[dataset]
    net = make_network(architecture, shape, classes, algorithm, zero_is_unselected=True)
    learner = Learner(net, algorithm, batch_size=SAMPLES, lr=LR)
    ours = {f"{x.name}.{v.name}": v for x in net.layers for v in x.weights}
    trace.compare(f"{pair}/n_params", net.count_params(), 0)
    names = [str(name) for name in trace[f"{pair}/param_names"]]
    assert names == list(ours)
    random = np.random.RandomState(seed)
    for name in names:
        if name.endswith("kernel"):
            size = ours[name].shape
            fan_in = size[1] if name.startswith("lc") else np.prod(size[:-1])
            ours[name].assign((random.standard_normal(size) / np.sqrt(fan_in)).astype(np.float32))
    x = random.random_sample((SAMPLES, *shape)).astype(np.float32)
    y = random.randint(0, classes, SAMPLES)
    trace.compare(f"{pair}/labels", y, 0)
    masks = [
        random.random_sample((SAMPLES, *layer.input.shape[1:])) >= layer.rate
        for layer in learner.dropouts
    ]
    before = {name: np.asarray(v, np.float64) for name, v in ours.items()}
    never = Draws(tf.ones(SAMPLES), tf.zeros(SAMPLES, tf.int64), [tf.constant(m) for m in masks])
    images, labels = tf.constant(x), tf.constant(y, tf.int64)
    update = learner.compute(images, labels, never)
    learner._apply(update)
    trace.compare(f"{pair}/loss", float(update.loss), LOSS)
    changes = [np.asarray(ours[name], np.float64) - before[name] for name in names]
    statistics = np.array(
        [[c.mean(), c.std(), np.sqrt((c**2).sum()), np.abs(c).max()] for c in changes]
    )
    # A mean near zero is a sum of cancelling terms: its size is that of the standard deviation.
    allowed = STATISTICS * np.abs(statistics) + 1e-9
    allowed[:, 0] = STATISTICS * np.abs(statistics[:, :2]).max(1) + 1e-9
    trace.compare_each(f"{pair}/delta_stats", statistics, allowed)
    q = update.q
    if algorithm == "EBP":
        q = tf.nn.softmax(forward(net, images).q)
    trace.compare(f"{pair}/out_first8", q.numpy()[:, :8], OUTPUTS)
