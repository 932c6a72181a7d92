"""What unshared weights cost: the locally connected layer beside the convolution of its shape.

    python -m benchmarks.brainprop_loccon [--keras2] [--json FILE]

Forward and backward of the four layers of the paper's nets, batch 32. `ratio` is to the layer's
shared-weight convolution, `keras2` to the fastest of Keras 2's three implementations, where those
were timed. The first layer of a net needs the gradient of its kernel only: such rows say so, and
their convolution computes no more than they do.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import click

from benchmarks.steps import conditions
from benchmarks.timing import Timing, interleave
from common.cli import Options, command, option
from common.cli.params import path, positive, positive_int, threads
from common.errors import UsageError

FILTERS, KERNEL = 32, 3


class Shape(NamedTuple):
    """Height and width, channels and stride of a layer; 3 x 3, 32 filters, no padding."""

    size: int
    channels: int
    stride: int

    def __str__(self) -> str:
        out = (self.size - KERNEL) // self.stride + 1
        return f"{self.size}x{self.size}x{self.channels} -> {out}x{out}x{FILTERS} s{self.stride}"


SHAPES = (Shape(28, 1, 1), Shape(26, 32, 2), Shape(32, 3, 1), Shape(30, 32, 2))


def floor(shape: Shape, batch: int, input_gradient: bool) -> tuple[float, float]:
    """Operations and bytes that forward and backward cannot do without, in millions.

    Operations: those of the convolution. Bytes (float32): input and kernel read in both passes,
    output and its gradient once, the gradients of kernel and input written once.
    """
    positions = ((shape.size - KERNEL) // shape.stride + 1) ** 2
    kernel = positions * KERNEL**2 * shape.channels * FILTERS
    image, output = batch * shape.size**2 * shape.channels, batch * positions * FILTERS
    passes = 3 if input_gradient else 2
    numbers = passes * kernel + 2 * output + passes * image
    return 2e-6 * passes * batch * kernel, 4e-6 * numbers


def candidates(shape: Shape, batch: int, input_gradient: bool) -> dict[str, Callable[[], object]]:
    """Name -> a compiled call that computes the gradients."""
    import tensorflow as tf

    from brainprop.layers.locally_connected import LocallyConnected2D

    size, channels, stride = shape
    x = tf.random.stateless_normal((batch, size, size, channels), (0, 1))
    layer = LocallyConnected2D(FILTERS, KERNEL, stride)
    upstream = tf.random.stateless_normal(layer(x).shape, (0, 2))
    shared = tf.Variable(
        tf.random.stateless_normal((KERNEL, KERNEL, channels, FILTERS), (0, 3), stddev=0.05)
    )

    def call(forward: Any, kernel: Any, **compiled: Any) -> Any:
        @tf.function(**compiled)
        def both(x: Any) -> Any:
            with tf.GradientTape() as tape:
                if input_gradient:
                    tape.watch(x)
                loss = tf.reduce_sum(forward(x) * upstream)
            return tape.gradient(loss, [kernel, x] if input_gradient else [kernel])

        return lambda: both(x)

    return {
        "convolution": call(lambda x: tf.nn.conv2d(x, shared, stride, "VALID"), shared),
        "locally connected": call(layer, layer.kernel.value),
        "locally connected, XLA": call(layer, layer.kernel.value, jit_compile=True),
    }


def keras2(shape: Shape, batch: int) -> dict[str, Timing]:
    """Keras 2's three implementations, each with its graph, timed a few times only: they are
    slow, and two of them need the kernel as a matrix of all inputs by all outputs."""
    import tensorflow as tf
    import tf_keras

    timings: dict[str, Timing] = {}
    x = tf.random.stateless_normal((batch, shape.size, shape.size, shape.channels), (0, 1))
    for number in (1, 2, 3):
        layer = tf_keras.layers.LocallyConnected2D(
            FILTERS, KERNEL, shape.stride, use_bias=False, implementation=number
        )
        upstream = tf.random.stateless_normal(layer(x).shape, (0, 2))

        @tf.function
        def both(x: Any, layer: Any = layer, upstream: Any = upstream) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(layer(x) * upstream)
            return tape.gradient(loss, [layer.kernel, x])

        name = f"Keras 2, implementation {number}"
        one = {name: lambda both=both: both(x)}
        timings |= interleave(one, seconds=0, warm_up=2, block=2, least=4)
        del layer, both, one
    return timings


@dataclass(frozen=True, kw_only=True)
class BrainpropLocconOptions(Options):
    """What `brainprop_loccon` takes."""

    keras2: bool = option(
        "--keras2/--no-keras2",
        default=False,
        help="Time Keras 2's layers too (minutes; needs tf-keras).",
    )
    batch: int = option(type=positive_int, default=32, help="Images a batch.")
    threads: int = option(type=threads, default=1, help="CPU threads.")
    seconds: float = option(type=positive, default=4.0, help="Seconds for each layer.")
    json: Path | None = option(type=path, help="Write the rows to this file.")


@command(BrainpropLocconOptions, paper="benchmarks", name="brainprop_loccon")
def main(options: BrainpropLocconOptions) -> None:
    """Time the locally connected layer beside the convolution of the same shape."""
    if options.keras2 and find_spec("tf_keras") is None:
        raise UsageError("option --keras2 needs tf-keras, which is not installed")
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(options.threads), "TF_NUM_INTEROP_THREADS": "1"}
    click.echo(conditions(options.threads, "cpu") + f"; batch {options.batch}")
    click.echo(f"{'layer':<26}{'implementation':<26}{'ms':>9}{'quartiles':>18}{'ratio':>8}")
    rows = []
    for shape in SHAPES:
        for input_gradient in (True, False) if shape.channels < FILTERS else (True,):
            times = interleave(
                candidates(shape, options.batch, input_gradient),
                seconds=options.seconds,
                warm_up=6,
                block=3,
                least=8,
            )
            base = times["convolution"].ms
            if options.keras2 and input_gradient:
                times |= keras2(shape, options.batch)
            operations, megabytes = floor(shape, options.batch, input_gradient)
            what = f"{shape}" + ("" if input_gradient else ", kernel only")
            click.echo(f"{what}: {operations:.0f} million operations, {megabytes:.1f} MB")
            for name, t in times.items():
                row: dict[str, Any] = {
                    "layer": str(shape),
                    "input_gradient": input_gradient,
                    "what": name,
                }
                row |= {"batch": options.batch, "threads": options.threads, "n": t.n}
                row |= {"ms": round(t.ms, 4), "quartiles": [round(t.low, 4), round(t.high, 4)]}
                rows.append(row | {"ratio": round(t.ms / base, 4)})
                spread = f"{t.low:.2f}-{t.high:.2f}"
                click.echo(f"{'':<26}{name:<26}{t.ms:>9.2f}{spread:>18}{t.ms / base:>8.2f}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
