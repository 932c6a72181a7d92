"""The prototype of gain modulation: four steps with the weights after the first and the last.

step   `brainprop.gain.rule` called as its learner does
"""

import json
import re
from typing import Any

import numpy as np

from tests.golden.trace import Trace

TOLERANCE = 1e-6  # float32


def implementations(stem: str) -> dict[str, tuple[str, ...]]:
    """What replays a file, with what it needs."""
    return {"": ("tensorflow", "keras")}


def network(cfg: dict[str, Any], widths: list[int]) -> list[Any]:
    """The layers that cfg's text describes, such as "conv1 3x3x3 VALID stride 1, dense 7, 4"."""
    from brainprop.gain.rule import conv, dense

    size, layers = tuple(cfg["input_shape"][:2]), []
    for words in cfg["conv"].split(","):
        match = re.search(r"(\d+)x\1x(\d+) (VALID|SAME) stride (\d+)", words)
        if match is None:
            layers.append(dense())
            continue
        kernel, stride = int(match[1]), int(match[4])
        layers.append(conv(size, kernel, stride, match[3].lower()))
        shrink = kernel - 1 if match[3] == "VALID" else 0
        size = tuple(-(-(n - shrink) // stride) for n in size)
    assert len(layers) == len(widths)
    return layers


def replay(trace: Trace, implementation: str = "") -> None:
    import tensorflow as tf

    from brainprop.gain.learner import Learner

    cfg = json.loads(trace.text("cfg_json"))
    count = sum(key.startswith("init/W") for key in trace)
    W = [trace[f"init/W{i + 1}"] for i in range(count)]
    b = [trace[f"init/b{i + 1}"] for i in range(count)]
    learner = Learner(
        network(cfg, [w.shape[1] for w in W]),
        [tf.Variable(w) for w in W],
        [tf.Variable(v.reshape(-1, w.shape[1])) for v, w in zip(b, W, strict=True)],
        span=cfg["attention_span"],
        lr_a=cfg["lr_att"],
        lr_w=cfg["lr_weights"],
        epsilon=cfg["exploration_rate"],
        max_gain=cfg["clip_attention"],
        double_softmax=True,
    )
    steps = sum(bool(re.fullmatch(r"x\d+", key)) for key in trace)
    for t in range(1, steps + 1):
        x, y = tf.constant(trace[f"x{t}"]), trace[f"y{t}"]
        u, drawn = tf.constant(trace[f"u{t}"]), tf.constant(trace[f"boltz{t}"])
        step = learner.compute(x, tf.constant(y), u, drawn)
        trace.compare(f"probs{t}", step.p.numpy(), TOLERANCE, scale=1.0)
        trace.compare(f"reward{t}", np.float32(step.reward), 1e-6, scale=1.0)
        trace.compare(f"loss{t}", step.loss.numpy(), TOLERANCE)
        learner.train_step(x, tf.constant(y), u, drawn)
        if f"after{t}/W1" in trace:
            for i in range(count):
                trace.compare(f"after{t}/W{i + 1}", learner.W[i].numpy(), TOLERANCE)
                bias = learner.b[i].numpy().reshape(b[i].shape)
                trace.compare(f"after{t}/b{i + 1}", bias, TOLERANCE, scale=np.abs(W[i]).max())
    if "eval_x" in trace:
        p = tf.nn.softmax(learner.logits(tf.constant(trace["eval_x"])))
        trace.compare("eval_probs", p.numpy(), TOLERANCE, scale=1.0)
