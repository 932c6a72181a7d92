"""The locally connected layer against a plain loop, finite differences and Keras' own habits."""

import time

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from brainprop.layers.locally_connected import LocallyConnected2D, geometry  # noqa: E402
from tests.rules.narrow import skip_where_tensorflow_dies  # noqa: E402

# size, channels in and out, kernel, strides, padding
CASES = {
    "paper-1": ((28, 28), 1, 3, (3, 3), (1, 1), "valid"),
    "paper-2": ((26, 26), 2, 3, (3, 3), (2, 2), "valid"),
    "same": ((7, 8), 3, 2, (3, 3), (1, 1), "same"),
    "same-2": ((8, 7), 2, 4, (3, 3), (2, 2), "same"),
    "uneven": ((9, 6), 2, 3, (2, 4), (3, 1), "same"),
    "gaps": ((9, 8), 2, 3, (1, 2), (3, 4), "valid"),
    "whole": ((4, 5), 3, 2, (4, 5), (1, 1), "valid"),
    "wide": ((3, 3), 2, 2, (5, 5), (2, 2), "same"),
}


def by_loop(x: np.ndarray, kernel: np.ndarray, size, strides, padding: str) -> np.ndarray:
    """y[b, p, f] = sum over k of patch[b, p, k] K[p, k, f], a position at a time."""
    (kh, kw), (sh, sw) = size, strides
    batch, height, width, _ = x.shape
    if padding == "same":
        out = (-(-height // sh), -(-width // sw))
        down = max((out[0] - 1) * sh + kh - height, 0)
        right = max((out[1] - 1) * sw + kw - width, 0)
        top, left = down // 2, right // 2
        x = np.pad(x, ((0, 0), (top, down - top), (left, right - left), (0, 0)))
    else:
        out = ((height - kh) // sh + 1, (width - kw) // sw + 1)
    y = np.zeros((batch, *out, kernel.shape[2]), x.dtype)
    for i in range(out[0]):
        for j in range(out[1]):
            patch = x[:, i * sh : i * sh + kh, j * sw : j * sw + kw].reshape(batch, -1)
            y[:, i, j] = patch @ kernel[i * out[1] + j]
    return y


def layer_of(case, dtype="float64", **more) -> tuple[LocallyConnected2D, np.ndarray]:
    size, channels, filters, kernel, strides, padding = case
    rng = np.random.default_rng(3)
    layer = LocallyConnected2D(filters, kernel, strides, padding, dtype=dtype, **more)
    x = rng.standard_normal((3, *size, channels))
    layer.build((None, *size, channels))
    layer.kernel.assign(rng.standard_normal(layer.kernel.shape))
    return layer, x


def both_gradients(layer: LocallyConnected2D, x, weights) -> tuple:
    """Gradients of sum(weights * layer(x)) for input and kernel."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x) * weights)
    return tape.gradient(loss, [x, layer.kernel.value])


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_position_multiplies_its_own_patch_by_its_own_kernel(case):
    """Positions, or entries of a patch, in another order: foreign weights would be scrambled."""
    layer, x = layer_of(case)
    ours = layer(x).numpy()
    loop = by_loop(x, layer.kernel.numpy(), *case[3:])
    assert ours.shape == layer.compute_output_shape(x.shape) == loop.shape
    np.testing.assert_allclose(ours, loop, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_gradients_are_those_of_finite_differences(case):
    """The backward pass is written by hand: a pixel that several patches share, or none, counts."""
    layer, x = layer_of(case)
    rng = np.random.default_rng(4)
    weights = rng.standard_normal(layer(x).shape)
    gradients = [g.numpy() for g in both_gradients(layer, x, weights)]
    kernel, step = layer.kernel.numpy(), 1e-4
    for gradient, which in zip(gradients, (x, kernel), strict=True):
        towards = rng.standard_normal(which.shape)
        values = []
        for sign in (1, -1):
            moved = which + sign * step * towards
            pair = (moved, kernel) if which is x else (x, moved)
            values.append(np.sum(weights * by_loop(*pair, *case[3:])))
        slope = (values[0] - values[1]) / (2 * step)  # exact: the layer is linear in each
        assert np.sum(gradient * towards) == pytest.approx(slope, rel=1e-7, abs=1e-9)


def test_the_gradient_can_be_differentiated_again():
    """Penalties on gradients need it; a custom gradient may silently give none."""
    layer, x = layer_of(CASES["same-2"])
    x = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = tf.reduce_sum(layer(x) ** 2)
        slope = tf.reduce_sum(inner.gradient(loss, x) ** 2)
    second = outer.gradient(slope, x).numpy()
    # loss = |Ax|^2, its gradient 2A'Ax, the slope |2A'Ax|^2, and its gradient 8 (A'A)^2 x.
    ata = lambda v: both_gradients(layer, v, layer(v))[0]  # noqa: E731
    np.testing.assert_allclose(second, 8 * ata(ata(x)).numpy(), rtol=1e-10)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_shared_weights_give_keras_own_convolution(case):
    """An oracle that is not ours: every position with one kernel is Conv2D, padding included."""
    size, channels, filters, kernel_size, strides, padding = case
    layer, x = layer_of(case)
    kernel = np.random.default_rng(5).standard_normal((*kernel_size, channels, filters))
    layer.kernel.assign(np.broadcast_to(kernel.reshape(-1, filters), layer.kernel.shape))
    conv = tf.nn.conv2d(x, kernel, strides, padding.upper())
    np.testing.assert_allclose(layer(x), conv, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "mixed_bfloat16"])
def test_narrow_floats_come_out_as_they_went_in(dtype):
    """bfloat16 has kernels of its own for every operation: one that is missing stops training."""
    if dtype != "float32":
        skip_where_tensorflow_dies()
    case = CASES["same-2"]
    layer, x = layer_of(case, dtype)
    weights = np.random.default_rng(6).standard_normal(layer(x).shape)
    exact = layer_of(case)[0]
    tolerance = 1e-5 if dtype == "float32" else 0.05
    narrow = [layer(x), *both_gradients(layer, x, tf.cast(weights, layer.compute_dtype))]
    assert narrow[0].dtype == layer.compute_dtype
    for ours, wide in zip(narrow, [exact(x), *both_gradients(exact, x, weights)], strict=True):
        wide = wide.numpy()
        error = np.abs(tf.cast(ours, tf.float64) - wide).max() / np.abs(wide).max()
        assert error < tolerance


def test_bias_activation_and_regularizer_do_what_keras_layers_do():
    """A layer that takes the arguments and forgets them trains something else."""
    layer, x = layer_of(CASES["same"], use_bias=True, activation="relu", kernel_regularizer="l2")
    bias = np.random.default_rng(7).standard_normal(layer.bias.shape)
    layer.bias.assign(bias)
    linear = by_loop(x, layer.kernel.numpy(), *CASES["same"][3:])
    np.testing.assert_allclose(layer(x), np.maximum(linear + bias, 0), atol=1e-12)
    assert float(layer.losses[0]) == pytest.approx(0.01 * np.sum(layer.kernel.numpy() ** 2))


def test_a_model_with_the_layer_comes_back_from_a_file(tmp_path):
    """Without its configuration a saved model can never be opened again."""
    layer = LocallyConnected2D(4, (3, 2), (2, 1), "same", "relu", True, kernel_regularizer="l2")
    inputs = keras.Input((7, 6, 2))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[1].get_config() == layer.get_config()
    x = np.random.default_rng(8).standard_normal((3, 7, 6, 2))
    np.testing.assert_array_equal(again(x), model(x))


def test_it_learns_in_compile_and_fit():
    """In anybody's model: symbolic shapes, a batch that is not known, a short last one."""
    rng = np.random.default_rng(9)
    keras.utils.set_random_seed(1)
    x = rng.standard_normal((50, 6, 6, 1)).astype("float32")
    target = LocallyConnected2D(2, 3, kernel_initializer=keras.initializers.RandomNormal(seed=2))
    y = target(x).numpy()
    model = keras.Sequential([keras.Input((6, 6, 1)), LocallyConnected2D(2, 3)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    losses = model.fit(x, y, batch_size=16, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.2 * losses[0]


def test_tracing_does_not_unroll_the_positions():
    """Keras 2 made one slice a position: 17 to 88 seconds before the first step."""
    layer = LocallyConnected2D(32, 3, 2)
    layer.build((None, 30, 30, 32))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x))
        return tape.gradient(loss, [x, layer.kernel.value])

    started = time.process_time()
    graph = step.get_concrete_function(tf.TensorSpec((2, 30, 30, 32))).graph
    assert time.process_time() - started < 1
    assert len(graph.get_operations()) < 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filters": 0}, "filters (=0) must be >= 1"),
        ({"kernel_size": (3, 3, 3)}, "kernel_size (=(3, 3, 3)) must be one integer or two"),
        ({"strides": (1, -1)}, "strides (=-1) must be >= 1"),
        ({"padding": "full"}, "padding (='full') must be one of valid, same"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(arguments, words):
    """A negative stride would otherwise end as an obscure error of a reshape."""
    with pytest.raises(ValueError) as caught:
        LocallyConnected2D(**{"filters": 2, "kernel_size": 3, **arguments})
    assert words in str(caught.value)


def test_a_shape_that_cannot_be_is_named():
    """Unshared weights need to know every position."""
    with pytest.raises(ValueError, match="height, width and channels must be known"):
        LocallyConnected2D(2, 3).build((None, None, 5, 1))
    with pytest.raises(ValueError, match=r"kernel_size \(=\(3, 3\)\) does not fit"):
        LocallyConnected2D(2, 3).build((None, 2, 5, 1))
    with pytest.raises(ValueError, match="must have 4 axes"):
        LocallyConnected2D(2, 3).build((None, 5, 1))


def test_the_odd_row_of_same_padding_goes_below_and_right():
    """Stride 2 on an even input pads (0, 1) in TensorFlow and (1, 1) in most other programs."""
    where = geometry((28, 28), (3, 3), (2, 2), "same")
    assert where.pads == ((0, 1), (0, 1)) and where.output == (14, 14)
