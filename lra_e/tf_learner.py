"""Training LRA-E in TensorFlow: the rule, a Keras optimiser, and one compiled call a step.

With gamma = 1 the common optimisers move E as they move the transpose of W: both get the same
directions, hence the same moments, and only weight decay acts on their difference,

    E_t - (W_t)^T = (1 - lr decay) (E_{t-1} - (W_{t-1})^T)

so E needs no optimiser of its own. Any other optimiser or gamma trains E beside W; with gamma = 0
E stays as it starts, under any weight decay. It is kept in the layout of W, which saves transposing
its update.
"""

import math
from collections import Counter
from typing import Any

import keras
import tensorflow as tf
from keras import ops, optimizers

from common.backends import tf_backend
from common.doors import tf_images, tf_labels
from common.errors import ArgumentError, unknown
from lra_e.networks import RULES, Update
from lra_e.tf_rule import MLP, make_variable

Result = tuple[tf.Tensor, tf.Tensor]


class RebuiltAdamW(keras.optimizers.AdamW):
    """Keras' AdamW as a program uses it that builds a new one for every step (lra_e, D2).

    Its moments are zero before each step and its step count is 1 in each, which leaves
    theta - lr decay theta - lr G / (|G| + eps / sqrt(1 - beta_2)), computed as Keras would.
    """

    def build(self, variables: list) -> None:
        """Nothing to remember: unlike AdamW, no moments."""
        keras.optimizers.Optimizer.build(self, variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """The first step of a new AdamW; weight decay has been applied."""
        dtype = variable.dtype
        lr = ops.cast(learning_rate, dtype)
        alpha = lr * ops.sqrt(1 - ops.cast(self.beta_2, dtype)) / (1 - ops.cast(self.beta_1, dtype))
        m = gradient * (1 - self.beta_1)
        v = ops.square(gradient) * (1 - self.beta_2)
        self.assign_sub(variable, m * alpha / (ops.sqrt(v) + self.epsilon))


# These treat every number alike, from the same start: the transpose of a tensor moves as it does.
ELEMENTWISE = (optimizers.SGD, optimizers.Adam, optimizers.AdamW, RebuiltAdamW)


class Learner:
    """A learner (`common.backends.protocols`) around an `MLP`, whose W and b it trains in place.

    optimiser            any Keras optimiser that has not been used yet
    rule                 "lra_e", "bp" (backprop, E untouched) or "fixed_e" (E stays as it starts)
    report_after_update  (lra_e, D6): training loss and accuracy of the batch just trained on
    jit_compile          compile the step with XLA, which fuses the optimiser's passes

    While training, E is kept here; read it from `learner.model`, which brings it up to date.
    Raises ArgumentError for a model with frozen variables.
    """

    backend = tf_backend

    def __init__(
        self,
        model: MLP,
        optimiser: keras.optimizers.Optimizer,
        rule: str = "lra_e",
        report_after_update: bool = False,
        jit_compile: bool = True,
    ) -> None:
        if rule not in RULES:
            raise unknown("rule", rule, RULES)
        biases = (model.b or []) if model.train_bias else []
        if frozen := [v for v in (*model.W, *model.E, *biases) if not v.trainable]:
            raise ArgumentError(
                "model",
                f"must not have frozen variables ({frozen[0].name} is) in a learner; "
                "rule='fixed_e' keeps E, `MLP.apply_update` what is frozen",
            )
        self._model, self.optimiser, self.rule = model, optimiser, rule
        self._report_after = report_after_update
        self._trained = [*model.W, *biases]
        learns_E = rule == "lra_e" and model.gamma != 0
        self._follows = learns_E and bool(model.E) and self._moves_transposes_alike()
        self._trains_E = learns_E and not self._follows
        # E in the layout of W.
        self._kept: list[keras.Variable] = []
        if learns_E:
            self._kept = [make_variable(tf.transpose(E), E.name) for E in model.E]
        if self._trains_E:
            self._trained += self._kept
        optimiser.build(self._trained)
        images = tf.TensorSpec((None, model.layer_sizes[0]), model.dtype)
        signature = [images, tf.TensorSpec((None,), tf.int64)]
        compiled = {"input_signature": signature, "autograph": False}
        self._train = tf.function(self._train_step, jit_compile=jit_compile, **compiled)
        self._eval = tf.function(self._eval_step, **compiled)

    def _moves_transposes_alike(self) -> bool:
        """Whether a step does nothing to E - W^T but let it decay."""
        mine = self.optimiser
        # Names of attributes that Keras' optimisers share; each would tell W and E apart.
        apart = ("clipnorm", "global_clipnorm", "use_ema", "gradient_accumulation_steps")
        return (
            type(mine) in ELEMENTWISE
            and not any(getattr(mine, name, None) for name in apart)
            and self._model.gamma == 1
            and not self._model.transposed_e
        )

    def train_step(self, images: tf.Tensor, labels: tf.Tensor) -> Result:
        """One update from images (B, n_0) and labels (B,); mean loss and number correct before."""
        return self._train(*self._entering(images, labels))

    def eval_step(self, images: tf.Tensor, labels: tf.Tensor) -> Result:
        """Mean loss and number correct."""
        return self._eval(*self._entering(images, labels))

    def _entering(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What the compiled step takes; XLA would look at nothing."""
        sizes = self._model.layer_sizes
        images = tf_images.batch(images, self._model.dtype, sizes[:1])
        return images, tf_labels.entering(labels, images.shape[0], sizes[-1])

    def _train_step(self, images: tf.Tensor, labels: tf.Tensor) -> Result:
        update = self._update(images, labels)
        gradients = [*update.gW, *(update.gb or ())]
        if self._trains_E:
            gradients += self._error_weight_updates(update)
        left: list[tf.Tensor] = []  # of E - W^T
        if self._follows:
            decay = tf.cast(self._decay(), self._model.dtype)
            pairs = zip(self._kept, self._model.W[1:], strict=True)
            left = [decay * (tf.convert_to_tensor(E) - tf.convert_to_tensor(W)) for E, W in pairs]
        self.optimiser.apply(gradients, self._trained)
        if self._follows:
            for E, W, difference in zip(self._kept, self._model.W[1:], left, strict=True):
                E.assign(tf.convert_to_tensor(W) + difference)
        if self._report_after:
            return self._eval_step(images, labels)
        return update.loss, _correct(update.logits, labels)

    def _eval_step(self, images: tf.Tensor, labels: tf.Tensor) -> Result:
        logits = self._model.forward(images)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        return tf.reduce_mean(losses), _correct(logits, labels)

    def _update(self, images: tf.Tensor, labels: tf.Tensor) -> Update[tf.Tensor]:
        if self.rule == "bp":
            return self._model.compute_backprop_update(images, labels)
        return self._model.compute_lra_update(images, labels, self._error_weights(), detail=False)

    def _error_weights(self) -> list[tf.Tensor]:
        """E in its own layout; a compiled product takes the transpose in passing."""
        if not self._kept:
            return [tf.convert_to_tensor(E) for E in self._model.E]
        return [tf.transpose(E) for E in self._kept]

    def _error_weight_updates(self, update: Update[tf.Tensor]) -> list[tf.Tensor]:
        """Of E in the layout of W."""
        model, hidden = self._model, list(enumerate(update.gW))[1:]
        if model.transposed_e:
            return [tf.transpose(model.error_weight_update(i, g)) for i, g in hidden]
        return [model.gamma * g for _, g in hidden]

    def _decay(self) -> tf.Tensor:
        """1 - lr decay of the coming step, from the float32 numbers that Keras multiplies with."""
        decay, lr = self.optimiser.weight_decay or 0.0, self.optimiser.learning_rate
        return 1 - tf.cast(tf.cast(decay, tf.float32), tf.float64) * tf.cast(lr, tf.float64)

    @property
    def model(self) -> MLP:
        """The network, with E as it stands."""
        if self._kept:
            for E, value in zip(self._model.E, self._error_weights(), strict=True):
                E.assign(value)
        return self._model

    def credit(
        self, images: tf.Tensor, labels: tf.Tensor
    ) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """For each layer's W the rule's descent direction and backprop's gradient."""
        rule = self._update(images, labels).gW
        true = self._model.compute_backprop_update(images, labels).gW
        return {f"W{i}": pair for i, pair in enumerate(zip(rule, true, strict=True), 1)}

    def feedback(self) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
        """(W^l)^T beside E^l for l = 2..L; nothing for backprop, which does not use E."""
        if self.rule == "bp":
            return {}
        pairs = zip(self._model.W[1:], self._error_weights(), strict=True)
        return {f"E{i}": (tf.transpose(W), E) for i, (W, E) in enumerate(pairs, 2)}

    def parameters(self) -> int:
        """How many numbers learn: W, trained b, and E unless it is fixed or unused."""
        learning = [*self._trained, *(self._kept if self._follows else ())]
        return sum(math.prod(variable.shape) for variable in learning)

    def state(self) -> dict[str, Any]:
        """W, b, E, and the optimiser's."""
        state = {variable.name: variable for variable in (*self._model.W, *(self._model.b or ()))}
        names = [E.name for E in self._model.E]
        return state | dict(zip(names, self._error_weights(), strict=True)) | self._slots()

    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        for variable in (*self._model.W, *(self._model.b or ())):
            variable.assign(state[variable.name])
        for name, variable in self._slots().items():
            variable.assign(state[name])
        for variable in self._kept:
            variable.assign(tf.transpose(state[variable.name]))
        if not self._kept:
            for variable in self._model.E:
                variable.assign(state[variable.name])

    def _slots(self) -> dict[str, keras.Variable]:
        """The optimiser's variables: opt.iteration, opt.W1_momentum, ...; a second one of a name
        is numbered."""
        slots: dict[str, keras.Variable] = {}
        count: Counter[str] = Counter()
        for variable in self.optimiser.variables:
            name = f"opt.{variable.name}".replace(":", "_")
            count[name] += 1
            slots[name + (f".{count[name]}" if count[name] > 1 else "")] = variable
        return slots


def adamw(lr: float, weight_decay: float = 0.004, rebuilt: bool = False, **more: Any) -> Any:
    """Keras' AdamW, or what is left of it when every step builds its own."""
    kind = RebuiltAdamW if rebuilt else keras.optimizers.AdamW
    return kind(lr, weight_decay=weight_decay, **more)


def sgd(lr: float, momentum: float = 0.0) -> Any:
    """Plain gradient descent."""
    return keras.optimizers.SGD(lr, momentum=momentum)


def _correct(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.math.count_nonzero(tf.argmax(logits, 1) == labels)
