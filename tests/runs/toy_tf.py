"""The toy's learner in TensorFlow; its dropout draws from the global `tf.random.Generator`."""

import keras
import tensorflow as tf

from common.backends import tf_backend


class Learner:
    backend = tf_backend
    poison_at = None

    def __init__(self, lr):
        self.net = keras.Sequential(
            [
                keras.Input((64,)),
                keras.layers.Dense(32, activation="tanh"),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(10),
            ]
        )
        self.optimiser = keras.optimizers.Adam(lr)
        self.optimiser.build(self.net.trainable_variables)
        self.train_step = tf.function(self._train_step, reduce_retracing=True)
        self.eval_step = tf.function(self._eval_step, reduce_retracing=True)

    def _loss(self, images, labels, training):
        logits = self.net(images, training=training)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
        hits = tf.cast(tf.argmax(logits, 1) == labels, tf.int32)
        return loss, tf.reduce_sum(hits)

    def _train_step(self, images, labels):
        noise = tf.random.get_global_generator().normal(tf.shape(images), stddev=0.1)
        with tf.GradientTape() as tape:
            loss, correct = self._loss(images + noise, labels, True)
        variables = self.net.trainable_variables
        self.optimiser.apply(tape.gradient(loss, variables), variables)
        return loss, correct

    def _eval_step(self, images, labels):
        return self._loss(images, labels, False)

    def credit(self, images, labels):
        noise = tf.random.get_global_generator().normal((4, 4))
        return {"first": (noise, tf.ones((4, 4)))}

    def _variables(self):
        variables = {f"net.{i}": v for i, v in enumerate(self.net.variables)}
        return variables | {f"opt.{i}": v for i, v in enumerate(self.optimiser.variables)}

    def state(self):
        return dict(self._variables())

    def load_state(self, state):
        for name, variable in self._variables().items():
            variable.assign(state[name])
