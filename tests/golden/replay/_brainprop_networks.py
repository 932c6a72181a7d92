"""Four steps of a narrow network and its evaluation, by two routes:

step    `brainprop.learner`, the compiled step that the scripts train with
keras   the same network under Keras' own compile and train_on_batch
"""

import json
from typing import Any, NamedTuple

import numpy as np

from tests.golden.trace import Trace


class Tolerance(NamedTuple):
    """Absolute, what was measured (brainprop, 11), with some room."""

    outputs: float
    parameters: float
    losses: float


def tolerance(cfg: dict[str, Any], gathered: bool) -> Tolerance:
    """gathered: Keras has summed the losses up, in float32 whatever the network's type."""
    if cfg["floatx"] == "float64":
        return Tolerance(
            1e-10, 4e-9, 1e-7 if gathered else 1e-10
        )  # the original's 0.01 of moving averages is a float32
    return Tolerance(2e-3, 2e-4, 2e-3) if cfg["arch"] == "deep" else Tolerance(3e-5, 3e-5, 3e-5)


def make_network(cfg: dict[str, Any]) -> Any:
    """The network of a trace."""
    from brainprop.networks import make_network

    return make_network(
        cfg["arch"],
        cfg["input_shape"],
        cfg["n_classes"],
        cfg["algorithm"],
        l2=cfg["l2"] or 0.0,
        dropout=cfg["dropout_rates"],
        padding=cfg["padding"],
        widths={int(old): new for old, new in cfg["widths"].items()},
        variance="unbiased" if any(cfg["bn_fused"]) else "biased",
        epsilon=cfg["epsilon"],
        zero_is_unselected=True,
        dtype=cfg["floatx"],
    )


def variables(net: Any) -> dict[str, Any]:
    """Variables under the traces' names."""
    return {f"{x.name}.{v.name}": v for x in net.layers for v in x.weights}


def replay(trace: Trace, implementation: str) -> None:
    cfg = json.loads(trace.text("cfg_json"))
    if implementation == "step":
        compare(trace, cfg, Step(cfg))
        return
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx(cfg["floatx"])  # of learning rates and losses
    try:
        compare(trace, cfg, Keras(cfg))
    finally:
        keras.config.set_floatx(before)


def compare(trace: Trace, cfg: dict[str, Any], route: Any) -> None:
    ours, allowed = variables(route.net), tolerance(cfg, isinstance(route, Keras))
    assert sorted(ours) == sorted(cfg["params"])
    first = {name: trace[f"init/{name}"] for name in cfg["params"]}
    for name, value in first.items():
        ours[name].assign(value)
    for t in range(1, cfg["steps"] + 1):
        step(trace, route, cfg, t, allowed)
        if t == 1:
            for name, value in first.items():
                change = np.asarray(ours[name]) - value
                trace.compare(f"delta1/{name}", change, allowed.parameters, scale=1.0)
    for name in cfg["params"]:
        after = np.asarray(ours[name])
        trace.compare(f"after{cfg['steps']}/{name}", after, allowed.parameters, scale=1.0)
    output, loss, accuracy = route.evaluate(trace["eval_x"], trace["eval_y"])
    trace.compare("eval_out", output, allowed.outputs, scale=1.0)
    trace.compare("eval_loss", loss, allowed.losses)
    trace.compare("eval_acc", accuracy, 1e-6)


def step(trace: Trace, route: Any, cfg: dict[str, Any], t: int, allowed: Tolerance) -> None:
    x, y = trace[f"x{t}"], trace[f"y{t}"]
    masks = [
        trace[f"mask{t}/drop{k}"].astype(bool) for k in range(1, len(cfg["dropout_rates"]) + 1)
    ]
    exploring = cfg["algorithm"] == "BrainProp"
    u, drawn = (trace[f"u{t}"], trace[f"boltz{t}"]) if exploring else (None, None)
    result = route.train(x, y, u, drawn, masks)
    trace.compare(f"out{t}", result["output"], allowed.outputs, scale=1.0)
    trace.compare(f"loss{t}", result["loss"], allowed.losses)
    trace.compare(f"acc{t}", result["accuracy"], 1e-6)
    if exploring:
        recorded, q = trace[f"selected{t}"], trace[f"act{t}"]
        # The Keras route shows of q what was selected, and that only where it is not 0.
        selected = np.where(result["selected"] < 0, recorded, result["selected"])
        trace.compare(f"selected{t}", selected, 0)
        shown = result.get("q", np.where(result["output"] != 0, result["output"], q))
        trace.compare(f"act{t}", shown, allowed.outputs, scale=1.0)


def argmax_accuracy(output: np.ndarray, y: np.ndarray) -> float:
    return float((output.argmax(1) == y).mean())


class Step:
    """`brainprop.learner.Learner`."""

    def __init__(self, cfg: dict[str, Any]) -> None:
        from brainprop.learner import Learner

        self.cfg, self.net = cfg, make_network(cfg)
        self.learner = Learner(
            self.net,
            cfg["algorithm"],
            batch_size=cfg["batch_size"],
            lr=cfg["lr"],
            epsilon=cfg["epsilon"],
            accuracy="argmax",
            zero_is_unselected=True,
        )

    def train(self, x: Any, y: Any, u: Any, drawn: Any, masks: list) -> dict[str, Any]:
        import tensorflow as tf

        from brainprop.learner import Draws

        n = len(y)
        given = (np.ones(n, np.float32), np.zeros(n, np.int64)) if u is None else (u, drawn)
        keep = [tf.constant(mask) for mask in masks]
        draws = Draws(tf.constant(given[0]), tf.constant(given[1]), keep)
        images, labels = tf.constant(x), tf.constant(y, tf.int64)
        before = self.learner.compute(images, labels, draws)
        loss, correct = self.learner.train_step(images, labels, draws)
        q, selected = before.q.numpy(), before.selected.numpy()
        if self.cfg["algorithm"] == "BrainProp":
            output = np.where(np.arange(q.shape[1]) == selected[:, None], q, 0)
        else:
            output = tf.nn.softmax(before.q).numpy()
        return {
            "output": output,
            "loss": float(loss),
            "accuracy": int(correct) / n,
            "q": q,
            "selected": selected,
        }

    def evaluate(self, x: Any, y: Any) -> tuple[Any, float, float]:
        import tensorflow as tf

        from brainprop.layers.forward import forward

        q = forward(self.net, tf.constant(x)).q
        loss, correct = self.learner.eval_step(tf.constant(x), tf.constant(y, tf.int64))
        if self.cfg["algorithm"] == "BrainProp":
            output = np.eye(q.shape[1])[q.numpy().argmax(1)]
        else:
            output = tf.nn.softmax(q).numpy()
        return output, float(loss), int(correct) / len(y)


class Keras:
    """The layers and the loss in compile and train_on_batch, random numbers put in their place."""

    def __init__(self, cfg: dict[str, Any]) -> None:
        import keras
        import tensorflow as tf

        from brainprop.layers.loss import BrainPropLoss
        from brainprop.layers.output import BrainPropLayer

        given: dict[str, Any] = {}
        self.given = given

        class Given(BrainPropLayer):
            def draw(self, q: Any) -> Any:
                return tf.constant(given["u"]), tf.constant(given["drawn"])

        class Mask(keras.layers.Dropout):
            def call(self, inputs: Any, training: bool = False) -> Any:
                if not training:
                    return inputs
                mask = given["masks"][int(self.name.removeprefix("drop")) - 1]
                return inputs * tf.constant(mask, inputs.dtype) / (1 - self.rate)

        self.cfg, kind = cfg, cfg["algorithm"]
        net = make_network(cfg)
        layers = [
            Mask(x.rate, name=x.name, dtype=cfg["floatx"])
            if isinstance(x, keras.layers.Dropout)
            else x
            for x in net.layers
        ]
        if kind == "BrainProp":
            settings = net.layers[-1].get_config()
            layers[-1] = Given.from_config(settings)
        images = keras.Input(tuple(cfg["input_shape"]), dtype=cfg["floatx"])
        self.net = keras.Sequential([images, *layers])
        loss: Any = BrainPropLoss(cfg["batch_size"], dtype=cfg["floatx"])
        if kind == "EBP":
            loss = keras.losses.SparseCategoricalCrossentropy(dtype=cfg["floatx"])
        self.net.compile(keras.optimizers.SGD(cfg["lr"]), loss, run_eagerly=True)

    def train(self, x: Any, y: Any, u: Any, drawn: Any, masks: list) -> dict[str, Any]:
        self.given |= {"u": u, "drawn": drawn, "masks": masks}
        moving = [v for v in self.net.non_trainable_variables if "moving" in v.name]
        kept = [np.asarray(v) for v in moving]
        output = np.asarray(self.net(x, training=True))
        for variable, value in zip(moving, kept, strict=True):
            variable.assign(value)
        loss = self.net.train_on_batch(x, y)
        # The zero of the selected unit counts as unselected here, as in the original.
        selected = np.where((output != 0).any(1), (output != 0).argmax(1), -1)
        return {
            "output": output,
            "loss": float(loss),
            "selected": selected,
            "accuracy": argmax_accuracy(output, y),
        }

    def evaluate(self, x: Any, y: Any) -> tuple[Any, float, float]:
        output = np.asarray(self.net(x, training=False))
        return output, float(self.net.test_on_batch(x, y)), argmax_accuracy(output, y)
