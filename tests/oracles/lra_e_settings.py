"""What an implementation of LRA-E is told: the rule's constants and the optimiser's."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tests.oracles import lra_e_numpy as oracle
from tests.oracles.lra_e_numpy import Array, Net, Update


@dataclass(frozen=True)
class Rule:
    """What is computed from a batch; `kind` is "lra_e" or "bp". Biases of a net stay constant
    unless `train_bias`."""

    kind: str = "lra_e"
    beta: float = 0.1
    gamma: float = 1.0
    reduction: str = "mean"
    error_form: str = "exact"
    local_loss: str = "gaussian"
    transposed_e: bool = False
    normalise: bool = False
    train_bias: bool = False

    def options(self) -> dict[str, Any]:
        """As keyword arguments of `lra_update` and of both `MLP` classes."""
        return {k: v for k, v in vars(self).items() if k not in ("kind", "train_bias")}


@dataclass(frozen=True)
class Recipe:
    """What is done with an update; `optimiser` is "sgd", "torch_adamw" or "keras_adamw".

    `float32_lr`: the rate is rounded to float32, as TensorFlow does. `rebuilt`: a new optimiser
    every step. The four numbers of AdamW stand for themselves.
    """

    optimiser: str = "sgd"
    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01
    float32_lr: bool = False
    rebuilt: bool = False

    @property
    def sgd_lr(self) -> float:
        """The rate that plain descent multiplies with."""
        return float(np.float32(self.lr)) if self.float32_lr else self.lr

    @property
    def keeps_lr_in_float32(self) -> bool:
        """Whether an optimiser whose rate is a float32 number computes the same."""
        return self.sgd_lr == float(np.float32(self.lr))

    def numpy_optimiser(self) -> "oracle.SGD | oracle.TorchAdamW | oracle.KerasAdamW":
        if self.optimiser == "sgd":
            return oracle.SGD(self.lr, float32_lr=self.float32_lr)
        numbers: dict[str, Any] = {
            "beta1": self.beta1,
            "beta2": self.beta2,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
        }
        if self.optimiser == "torch_adamw":
            return oracle.TorchAdamW(self.lr, **numbers)
        return oracle.KerasAdamW(self.lr, rebuilt=self.rebuilt, **numbers)


class Learner(Protocol):
    """One implementation holding one network; everything is numpy, in canonical layouts."""

    def update(self, x: Array, labels: Array) -> Update:
        """What the rule says for images (B, n_0) and classes (B,); changes nothing."""

    def apply(self) -> None:
        """Let the optimiser take the last update."""

    def net(self) -> Net:
        """A copy of the present parameters."""
