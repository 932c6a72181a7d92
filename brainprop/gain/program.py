"""The program behind `python -m brainprop.gain_modulation`."""

from typing import Any

import click
import numpy as np
import tensorflow as tf

from brainprop.gain import rule
from brainprop.gain.learner import Learner
from brainprop.tasks import held_out
from common.backends import memory, tf_backend
from common.data.datasets import Split, load
from common.data.tf_batches import TFBatches
from common.errors import UsageError
from common.runs.run import Run

HIDDEN = {"dense": [1500, 1000, 500], "conv": [32, 32, 500]}


def train(options: Any) -> None:
    """Train, validate and test as the options say, into a run directory."""
    options.hidden = options.hidden or HIDDEN[options.network]
    device = tf_backend.set_up(options)
    data = load(options.dataset, options.data_dir, download=not options.no_download)
    images = data.train.limit(options.limit_train)
    test = data.test.limit(options.limit_test, "limit_test")
    held = held_out(options.val_split, len(images))
    with tf.device(device):
        learner = build(options, data.shape, data.n_classes)
        dtype = tf_backend.DTYPES[options.precision]
        test_set = TFBatches(test, 250, dtype=dtype)
        click.echo(f"TensorFlow {tf.__version__} on {device}: {options.dataset}, {options.network} "
                   f"{'-'.join(map(str, options.hidden))}, {learner.parameters():,} parameters, "
                   f"{len(images) - held} training, {held} validation, {len(test)} test images"
                   )  # fmt: skip
        name = f"{options.name}-{options.network}"
        drawn: Any = None
        with Run(options, learner, data=data, device=device, name=name, best="val_accuracy") as run:
            if options.switches.redrawn_validation:  # a resumed run audits the same images
                run.audits.take(hold_out(options, images, held, 0, dtype)[0])
            for epoch in run.epochs(options.epochs):
                if drawn is None or options.switches.redrawn_validation:
                    drawn = hold_out(options, images, held, epoch, dtype)
                train_set, val_set = drawn
                for batch, labels in run.batches(train_set):
                    run.add(learner.train_step(batch, labels))
                _, rewarded = run.train_figures()
                _, validation = run.evaluate("val", val_set)
                _, tested = run.evaluate("test", test_set)
                click.echo(f"Epoch {epoch + 1}: reward {rewarded:.2f} %, validation "
                           f"{validation:.2f} %, test {tested:.2f} %")  # fmt: skip
    click.echo(f"Run: {run.directory}")


def hold_out(
    options: Any, images: Split, held: int, epoch: int, dtype: Any
) -> tuple[TFBatches, TFBatches]:
    """Training and validation batches; anew for each epoch in the original."""
    key = [options.seed, len(images)]
    if options.switches.redrawn_validation:
        key.append(epoch)
    order = np.random.Generator(np.random.PCG64(key)).permutation(len(images))
    kept = images.take(order[held:])
    place: dict[str, Any] = {"dtype": dtype, "seed": options.seed}
    return (
        TFBatches(kept, options.batch_size, shuffle=True, **place),
        TFBatches(images.take(order[:held]), 250, **place),
    )


def build(options: Any, shape: tuple[int, int, int], classes: int) -> Learner:
    """The network of the options with its first weights, N(0, std^2), the biases 0."""
    height, width, channels = shape
    layers, widths, fan_in = [], [*options.hidden, classes], []
    size = (height, width)
    for i in range(len(widths)):
        if options.network == "conv" and i < 2:
            layers.append(rule.conv(size, 3, i + 1, "same"))
            fan_in.append(9 * channels)
            size, channels = (-(-size[0] // (i + 1)), -(-size[1] // (i + 1))), widths[i]
        else:
            layers.append(rule.dense())
            fan_in.append(size[0] * size[1] * channels)
            size, channels = (1, 1), widths[i]
    needed = sum(rows * columns for rows, columns in zip(fan_in, widths, strict=True))
    memory.check((8 + 2 * 4) * needed, "the network's weights and their updates")
    if options.precision == "bfloat16":
        raise UsageError("option --precision (=bfloat16) must be float32 or float64 here")
    dtype = tf_backend.DTYPES[options.precision]
    rng = np.random.Generator(np.random.PCG64(options.seed))
    W = [rng.normal(0.0, options.std, pair) for pair in zip(fan_in, widths, strict=True)]
    b = [np.zeros((layer.positions, n)) for layer, n in zip(layers, widths, strict=True)]
    return Learner(
        layers,
        [tf.Variable(w, dtype=dtype) for w in W],
        [tf.Variable(v, dtype=dtype) for v in b],
        span=options.attention_span,
        lr_a=options.lr_a,
        lr_w=options.lr_w,
        epsilon=options.epsilon,
        max_gain=options.max_gain,
        double_softmax=options.switches.double_softmax,
        seed=options.seed,
    )
