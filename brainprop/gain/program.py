"""The program behind `python -m brainprop.gain_modulation`."""

from collections.abc import Sequence

import click
import numpy as np
import tensorflow as tf

from brainprop.gain import rule
from brainprop.gain.learner import Learner
from brainprop.gain.options import GainOptions
from brainprop.tasks import held_out
from common.backends import memory, tf_backend
from common.data.datasets import Split, load
from common.data.tf_batches import TFBatches
from common.runs.run import Run
from common.runs.settings import RunSettings


def train(options: GainOptions) -> None:
    """Train, validate and test as the options say, into a run directory."""
    device = tf_backend.set_up(options.device, options.seed, options.threads, options.deterministic)
    data = load(options.dataset, options.data_dir, download=not options.no_download)
    images = data.train.limit(options.limit_train)
    test = data.test.limit(options.limit_test, "limit_test")
    held = held_out(options.val_split, len(images))
    dtype = tf_backend.DTYPES[options.precision]
    with tf.device(device):
        net = make_network(
            data.shape,
            [*options.hidden, data.n_classes],
            convolutions=2 if options.network == "conv" else 0,
            std=options.std,
            seed=options.seed,
            dtype=dtype,
        )
        learner = Learner(
            *net,
            span=options.attention_span,
            lr_a=options.lr_a,
            lr_w=options.lr_w,
            epsilon=options.epsilon,
            max_gain=options.max_gain,
            double_softmax=options.switches.double_softmax,
            seed=options.seed,
        )
        test_set = TFBatches(test, 250, dtype=dtype)
        click.echo(
            f"TensorFlow {tf.__version__} on {device}: {options.dataset}, {options.network} "
            f"{'-'.join(map(str, options.hidden))}, {learner.parameters():,} parameters, "
            f"{len(images) - held} training, {held} validation, {len(test)} test images"
        )
        redrawn = options.switches.redrawn_validation
        with Run(
            RunSettings.of(options),
            options.record(),
            learner,
            data=data,
            device=device,
            name=f"{options.call.name}-{options.network}",
            best="val_accuracy",
        ) as run:
            train_set, val_set = hold_out(options, images, held, 0, dtype)
            if redrawn:  # a resumed run audits the same images
                run.audits.take(train_set)
            for epoch in run.epochs():
                if redrawn:
                    train_set, val_set = hold_out(options, images, held, epoch, dtype)
                for batch, labels in run.batches(train_set):
                    run.add(learner.train_step(batch, labels))
                _, rewarded = run.train_figures()
                _, validation = run.evaluate("val", val_set)
                _, accuracy = run.evaluate("test", test_set)
                click.echo(
                    f"Epoch {epoch + 1}: reward {rewarded:.2f} %, validation {validation:.2f} %, "
                    f"test {accuracy:.2f} %"
                )
    click.echo(f"Run: {run.directory}")


def hold_out(
    options: GainOptions, images: Split, held: int, epoch: int, dtype: tf.DType
) -> tuple[TFBatches, TFBatches]:
    """Training and validation batches; anew for each epoch in the original."""
    key = [options.seed, len(images)]
    if options.switches.redrawn_validation:
        key.append(epoch)
    order = np.random.Generator(np.random.PCG64(key)).permutation(len(images))
    kept, apart = images.take(order[held:]), images.take(order[:held])
    return (
        TFBatches(kept, options.batch_size, shuffle=True, dtype=dtype, seed=options.seed),
        TFBatches(apart, 250, dtype=dtype, seed=options.seed),
    )


def make_network(
    shape: tuple[int, int, int],
    widths: Sequence[int],
    *,
    convolutions: int,
    std: float,
    seed: int,
    dtype: tf.DType,
) -> tuple[list[rule.Layer], list[tf.Variable], list[tf.Variable]]:
    """Layers for images `shape` (H, W, C), their W drawn from N(0, std^2) and their b of 0.

    convolutions: how many of the layers are 3 x 3, the i-th with stride i; the others are dense
    """
    height, width, channels = shape
    layers, fan_in = [], []
    size = (height, width)
    for i, units in enumerate(widths):
        if i < convolutions:
            layers.append(rule.conv(size, 3, i + 1, "same"))
            fan_in.append(9 * channels)
            size, channels = (-(-size[0] // (i + 1)), -(-size[1] // (i + 1))), units
        else:
            layers.append(rule.dense())
            fan_in.append(size[0] * size[1] * channels)
            size, channels = (1, 1), units
    needed = sum(rows * columns for rows, columns in zip(fan_in, widths, strict=True))
    memory.check((8 + 2 * 4) * needed, "the network's weights and their updates")
    rng = np.random.Generator(np.random.PCG64(seed))
    shapes = zip(fan_in, widths, strict=True)
    W = [tf.Variable(rng.normal(0.0, std, shape), dtype=dtype) for shape in shapes]
    places = zip((layer.positions for layer in layers), widths, strict=True)
    b = [tf.Variable(np.zeros(shape), dtype=dtype) for shape in places]
    return layers, W, b
