"""Separate feedback weights for any Keras model made of layers (Sequential or functional):

    >>> import keras
    >>> from brainprop.layers.conversion import convert
    >>> from brainprop.layers.values import ActionValueLoss
    >>> hidden = [keras.layers.Dense(500, "relu"), keras.layers.Dense(100, "relu")]
    >>> model = keras.Sequential([keras.Input((784,)), *hidden, keras.layers.Dense(10)])
    >>> separate = convert(model, skip=[hidden[0].name])     # nothing learns below the lowest layer
    >>> separate.compile(keras.optimizers.SGD(0.1, weight_decay=1e-3), ActionValueLoss())

In the new model's layers B stands for W on the way down, and gets W's gradient
(`brainprop.rule.asymmetric`). With a weight decay that both share, W - B shrinks by
(1 - lr decay) a step: reciprocal learning (Kolen and Pollack 1994).
"""

from collections.abc import Collection, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from brainprop import rule
from common.doors.arguments import integer, number
from common.errors import ArgumentError, unknown


class _Separate:
    """B beside a layer's kernel W, of its shape and with its regulariser, from N(0, std^2).

    feedback_std, feedback_seed   of the draw
    """

    kernel: Any
    bias: Any

    def __init__(
        self, *args: Any, feedback_std: float = 0.05, feedback_seed: int | None = None, **named: Any
    ) -> None:
        super().__init__(*args, **named)
        self.feedback_std = number("feedback_std", feedback_std, above=0)
        seed = feedback_seed
        self.feedback_seed = None if seed is None else integer("feedback_seed", seed, least=0)

    def build(self: Any, input_shape: Any) -> None:
        """The layer's own weights, and B."""
        kind: Any = super()
        kind.build(input_shape)
        # Keras locks a layer once it is built, which its own `build` has just said.
        self._tracker.unlock()
        self.B = self.add_weight(
            name="B",
            shape=self.kernel.shape,
            initializer=keras.initializers.RandomNormal(0.0, self.feedback_std, self.feedback_seed),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self._tracker.lock()

    def _finished(self: Any, z: tf.Tensor) -> tf.Tensor:
        if self.bias is not None:
            first = getattr(self, "data_format", None) == "channels_first"
            z += keras.ops.reshape(self.bias, (1, -1, 1, 1)) if first else self.bias
        return z if self.activation is None else self.activation(z)

    def save_own_variables(self: Any, store: Any) -> None:
        """All three; the kinds of layers that we extend know of W and bias only."""
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self: Any, store: Any) -> None:
        """What `save_own_variables` wrote."""
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self: Any) -> dict[str, Any]:
        """What `from_config` needs."""
        kind: Any = super()
        more = {"feedback_std": self.feedback_std, "feedback_seed": self.feedback_seed}
        return kind.get_config() | more


@keras.saving.register_keras_serializable(package="brainprop")
class SeparateDense(_Separate, keras.layers.Dense):
    """Keras' Dense whose error goes down through B."""

    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        """(..., inputs) -> (..., units), the numbers of Dense."""
        W, B = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.B)
        return self._finished(rule.asymmetric(keras.ops.matmul, inputs, W, B))


@keras.saving.register_keras_serializable(package="brainprop")
class SeparateConv2D(_Separate, keras.layers.Conv2D):
    """Keras' Conv2D whose error goes down through B."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """(n, H, W, C) or as `data_format` has it, the numbers of Conv2D."""
        W, B = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.B)
        return self._finished(rule.asymmetric(self.convolution_op, inputs, W, B))


TWINS: dict[type, type] = {keras.layers.Dense: SeparateDense, keras.layers.Conv2D: SeparateConv2D}
# Layers whose weights of two axes or more mix no units on the way down.
KEPT = (keras.layers.Embedding, keras.layers.LayerNormalization, keras.layers.PReLU)


def convert(
    model: keras.Model,
    *,
    skip: Collection[str] = (),
    std: float | None = None,
    seed: int | None = None,
) -> keras.Model:
    """A copy of a built model, not compiled, in which every Dense and Conv2D has feedback weights.

    skip   names of layers whose errors go on through W; put the lowest here, whose B would carry
           nothing
    std    of the normal distribution that B is drawn from; None: each layer's root mean square of W
    seed   of the draws

    Layers keep their names, W and bias their values; the model given is not changed.

    Raises ArgumentError for a model that is not of layers alone (subclassed) or not built, a name
    in `skip` that is not there, a `std` that is not above 0, and, naming it, for a layer with
    connections that is neither Dense nor Conv2D and not in `skip`.
    """
    # A model of a class of one's own, whose `call` nobody can look into, has no operations.
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        kind = type(model).__name__
        raise ArgumentError("model", f"({kind}) must be a Sequential or functional Keras model")
    if not model.built:
        raise ArgumentError("model", "has no weights yet: give it a keras.Input, or call it once")
    std = None if std is None else number("std", std, above=0)
    seed = None if seed is None else integer("seed", seed, least=0)
    layers = dict(_layers(model))
    if isinstance(skip, str):
        raise ArgumentError("skip", f"(={skip}) must be a list of names")
    for name in skip:
        if name not in layers:
            raise unknown("skip", name, layers)
    for name, layer in layers.items():
        if name not in skip:
            _check(layer)
    order = {name: place for place, name in enumerate(layers)}

    def clone(layer: Any) -> Any:
        twin: Any = None if layer.name in skip else TWINS.get(type(layer))
        if twin is None:
            return layer.__class__.from_config(layer.get_config())
        root = float(np.sqrt(np.mean(np.square(keras.ops.convert_to_numpy(layer.kernel)))))
        settings = {
            "feedback_std": std or root or 0.05,
            "feedback_seed": None if seed is None else seed * 1009 + order[layer.name],
        }
        return twin.from_config(layer.get_config() | settings)

    copy = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for name, new in _layers(copy):
        if isinstance(new, _Separate):
            new.kernel.assign(layers[name].kernel)
            if new.bias is not None:
                new.bias.assign(layers[name].bias)
        elif new.weights:  # others, the layers of inputs among them, may get new names
            new.set_weights(layers[name].get_weights())
    return copy


def _layers(model: Any) -> Iterator[tuple[str, Any]]:
    """Name and layer, those of models within the model too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer.name, layer


def _check(layer: Any) -> None:
    """ArgumentError for a layer with connections whose way down we could not replace."""
    kind = type(layer)
    if kind in TWINS or kind in TWINS.values() or isinstance(layer, KEPT):
        return
    if any(len(weight.shape) > 1 for weight in layer.trainable_weights):
        raise ArgumentError("model", f"has layer {layer.name} ({kind.__name__}), no plain Dense or "
                            "Conv2D: replace it, or put it into `skip`: its errors then go "
                            "through W")  # fmt: skip
