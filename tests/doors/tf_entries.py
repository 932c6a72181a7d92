"""Every public way by which labels enter a TensorFlow rule: name -> what it computes from them."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

B, C = 5, 5  # equal: where a row and a column could be taken for one another
Entry = Callable[[Any], list[np.ndarray]]
ACTIONS = tf.constant([0, 3, 2, 1, 4], tf.int64)


def images(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.RandomState(4).rand(B, *shape))


def _flat(*result: Any) -> list[np.ndarray]:
    out: list[np.ndarray] = []
    for each in result:
        if isinstance(each, dict):
            out += _flat(*each.values())
        elif isinstance(each, list | tuple):
            out += _flat(*each)
        elif each is not None:
            out.append(np.asarray(tf.convert_to_tensor(each)).copy())
    return out


def _mlp() -> Any:
    from lra_e.tf_rule import MLP

    tf.random.set_seed(1)
    keras.utils.set_random_seed(1)
    return MLP([6, 4, C], bias=True, dtype=tf.float64)


def _lra_e(method: str) -> Entry:
    def enter(labels: Any) -> list[np.ndarray]:
        model = _mlp()
        return _flat(getattr(model, method)(images(6), labels), model.W, model.E, model.b)

    return enter


def _learner(make: Callable[[], Any], method: str, *shape: int) -> Entry:
    def enter(labels: Any) -> list[np.ndarray]:
        learner = make()
        return _flat(getattr(learner, method)(images(*shape), labels), learner.state())

    return enter


def _lra_e_learner() -> Any:
    from lra_e.tf_learner import Learner, sgd

    return Learner(_mlp(), sgd(0.01), jit_compile=True)


def _brainprop_learner() -> Any:
    from brainprop.learner import Learner
    from brainprop.networks import make_network

    widths = {1500: 6, 1000: 5, 500: 4}
    return Learner(
        make_network("dense", (2, 2, 1), C, widths=widths, dtype="float64"), batch_size=8
    )


def _gain_learner() -> Any:
    from brainprop.gain import rule
    from brainprop.gain.learner import Learner

    draw = np.random.RandomState(1)
    W = [tf.Variable(draw.randn(*shape)) for shape in ((4, 6), (6, C))]
    b = [tf.Variable(np.zeros((1, width))) for width in (6, C)]
    return Learner([rule.dense()] * 2, W, b)


def _step(method: str) -> Entry:
    def enter(labels: Any) -> list[np.ndarray]:
        step = _brainprop_learner().step
        more = (step.draw(B, 0),) if method == "compute" else ()
        return _flat(tuple(getattr(step, method)(images(2, 2, 1), labels, *more)))

    return enter


def _rule(name: str, *before: Any, after: tuple = (), module: str = "rule") -> Entry:
    def enter(labels: Any) -> list[np.ndarray]:
        from importlib import import_module

        function = getattr(import_module(f"brainprop.{module}"), name)
        return _flat(function(images(C), *before, labels, *after))

    return enter


def _shown(labels: Any, what: str) -> list[np.ndarray]:
    """Keras' citizens take labels first, and the output of the layer: values of actions taken."""
    from brainprop.layers import loss

    shown = tf.one_hot(ACTIONS, C, dtype=tf.float64) * (images(C) + 0.1)
    if what == "reward_rate":
        return _flat(loss.reward_rate(labels, shown))
    made = loss.BrainPropLoss(8, dtype="float64")
    return _flat(getattr(made, what)(labels, shown))


def _valued(labels: Any) -> list[np.ndarray]:
    from brainprop.layers.values import ActionValueLoss

    loss = ActionValueLoss(select=lambda q: ACTIONS, dtype="float64")
    return _flat(loss.call(labels, images(C)))


ENTRIES: dict[str, Entry] = {
    "lra_e.tf_rule.MLP.compute_lra_update": _lra_e("compute_lra_update"),
    "lra_e.tf_rule.MLP.compute_backprop_update": _lra_e("compute_backprop_update"),
    "lra_e.tf_rule.MLP.backward": _lra_e("backward"),
    "lra_e.tf_learner.Learner.train_step": _learner(_lra_e_learner, "train_step", 6),
    "lra_e.tf_learner.Learner.eval_step": _learner(_lra_e_learner, "eval_step", 6),
    "lra_e.tf_learner.Learner.credit": _learner(_lra_e_learner, "credit", 6),
    "brainprop.rule.prediction_error": _rule("prediction_error", ACTIONS),
    "brainprop.rule.backprop_signal": _rule("backprop_signal", after=(0.1,)),
    "brainprop.rule.cross_entropy": _rule("cross_entropy"),
    "brainprop.rule.correct_as_the_original": _rule("correct_as_the_original", ACTIONS),
    "brainprop.gain.rule.prediction_error": _rule(
        "prediction_error", ACTIONS, after=(0.7,), module="gain.rule"
    ),
    "brainprop.step.Step.compute": _step("compute"),
    "brainprop.step.Step.evaluate": _step("evaluate"),
    "brainprop.learner.Learner.train_step": _learner(_brainprop_learner, "train_step", 2, 2, 1),
    "brainprop.learner.Learner.eval_step": _learner(_brainprop_learner, "eval_step", 2, 2, 1),
    "brainprop.learner.Learner.credit": _learner(_brainprop_learner, "credit", 2, 2, 1),
    "brainprop.gain.learner.Learner.train_step": _learner(_gain_learner, "train_step", 2, 2, 1),
    "brainprop.gain.learner.Learner.eval_step": _learner(_gain_learner, "eval_step", 2, 2, 1),
    "brainprop.gain.learner.Learner.compute": _learner(_gain_learner, "compute", 2, 2, 1),
    "brainprop.gain.learner.Learner.credit": _learner(_gain_learner, "credit", 2, 2, 1),
    "brainprop.layers.loss.BrainPropLoss.call": lambda labels: _shown(labels, "call"),
    "brainprop.layers.loss.BrainPropLoss.elementwise": lambda labels: _shown(labels, "elementwise"),
    "brainprop.layers.values.ActionValueLoss.call": _valued,
    "brainprop.layers.loss.reward_rate": lambda labels: _shown(labels, "reward_rate"),
}
