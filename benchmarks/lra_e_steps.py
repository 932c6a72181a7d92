"""LRA-E's steps: digits enlarged to 28 x 28, batch 50, AdamW on W and E, the mnist_torch recipe.

`bp` is backprop written by hand in the same buffers; `bp_autograd` is what one would write first,
the framework's own differentiation and optimiser.
"""

from itertools import cycle
from typing import Any

from benchmarks.steps import Case
from common.data.batches import Batches
from common.data.datasets import enlarge, load

FRAMEWORKS = ("torch", "tensorflow")
HIDDEN, DEEPER = (3, 4), (5, 8, 16)
BATCH = 50


def cases(framework: str, device: str, depth: bool) -> list[Case]:
    """LRA-E and backprop for every depth."""
    make = {"torch": _torch, "tensorflow": _tensorflow}[framework]
    return [case for n in HIDDEN + (DEEPER if depth else ()) for case in make(n, device)]


def _cases(hidden: int, batches: Batches, steps: dict[str, Any]) -> list[Case]:
    held = list(batches)
    made = []
    for rule, step in steps.items():
        turn = cycle(held)
        made.append(
            Case(f"mlp-{hidden}x256", rule, BATCH, lambda s=step, t=turn: s(*next(t)))  # type: ignore[misc]
        )
    return made


def _torch(hidden: int, device: str) -> list[Case]:
    import torch
    from torch import nn

    from common.data.torch_batches import TorchBatches
    from lra_e.torch_learner import Learner, adamw
    from lra_e.torch_rule import MLP

    sizes = [784, *[256] * hidden, 10]
    steps: dict[str, Any] = {
        rule: Learner(MLP(sizes, device=device), adamw(1e-3), rule).train_step
        for rule in ("bp", "lra_e")
    }
    pairs = zip(sizes, sizes[1:], strict=False)
    layers = [m for a, b in pairs for m in (nn.Linear(a, b, bias=False), nn.Tanh())]
    net = nn.Sequential(*layers[:-1]).to(device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3, fused=True)

    def autograd(images: Any, labels: Any) -> tuple[Any, Any]:
        logits = net(images)
        loss = nn.functional.cross_entropy(logits, labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return loss.detach(), (logits.argmax(1) == labels).sum()

    steps["bp_autograd"] = autograd
    split = enlarge(load("digits").train, 28)
    batches = TorchBatches(split, BATCH, drop_last=True, layout="flat", device=device)
    return _cases(hidden, batches, steps)


def _tensorflow(hidden: int, device: str) -> list[Case]:
    import keras
    import tensorflow as tf

    from common.data.tf_batches import TFBatches
    from lra_e.tf_learner import Learner
    from lra_e.tf_rule import MLP

    sizes = [784, *[256] * hidden, 10]
    steps: dict[str, Any] = {
        rule: Learner(MLP(sizes), keras.optimizers.AdamW(1e-3), rule).train_step
        for rule in ("bp", "lra_e")
    }
    hidden_layers = [keras.layers.Dense(n, "tanh", use_bias=False) for n in sizes[1:-1]]
    net = keras.Sequential(
        [keras.Input((784,)), *hidden_layers, keras.layers.Dense(10, use_bias=False)]
    )
    optimiser = keras.optimizers.AdamW(1e-3)
    optimiser.build(net.trainable_variables)

    @tf.function
    def autograd(images: Any, labels: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            logits = net(images, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            )
        variables = net.trainable_variables
        optimiser.apply(tape.gradient(loss, variables), variables)
        return loss, tf.reduce_sum(tf.cast(tf.argmax(logits, 1) == labels, tf.int32))

    steps["bp_autograd"] = autograd
    split = enlarge(load("digits").train, 28)
    batches = TFBatches(split, BATCH, drop_last=True, layout="flat")
    return _cases(hidden, batches, steps)
