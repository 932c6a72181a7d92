"""One door to every implementation of LRA-E, so that a test can be written once for all of them.

    learner = make_learner("torch", net, Rule(beta=0.3), Recipe("sgd", lr=0.05))
    update = learner.update(x, labels)      # numpy, canonical layouts; changes nothing
    learner.apply()                         # the optimiser takes the last update
    learner.net().W

What goes in and comes out is numpy; only an implementation's own class imports a framework.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.golden.cases import missing
from tests.oracles import lra_e_numpy as oracle
from tests.oracles.lra_e_numpy import Array, Net, Update
from tests.oracles.lra_e_settings import Learner, Recipe, Rule


class NumpyLearner:
    """The oracle itself, always in float64."""

    def __init__(self, net: Net, rule: Rule, recipe: Recipe, dtype: str = "float64"):
        self._net, self._rule = net.astype("float64"), rule
        self._optimiser = recipe.numpy_optimiser()

    def update(self, x: Array, labels: Array) -> Update:
        x = x.astype("float64")
        if self._rule.kind == "bp":
            self._last = oracle.backprop_update(self._net, x, labels)
        else:
            self._last = oracle.lra_update(self._net, x, labels, **self._rule.options())
        return self._last

    def apply(self) -> None:
        # Without updates for E (backprop) the optimiser must not touch it: no decay either.
        trained = self._net.W + (self._net.E if self._last.gE else [])
        updates = self._last.gW + self._last.gE
        if self._rule.train_bias:
            trained, updates = trained + self._net.b, updates + self._last.gb
        self._optimiser.step(trained, updates)

    def net(self) -> Net:
        return self._net.copy()


class TorchLearner:
    """`lra_e.torch_rule.MLP` with torch's optimisers; Keras' AdamW is the oracle's."""

    def __init__(self, net: Net, rule: Rule, recipe: Recipe, dtype: str = "float64"):
        import torch

        from lra_e.torch_rule import MLP

        self._torch, self._rule, self._dtype = torch, rule, getattr(torch, dtype)
        self._model = MLP(
            sizes_of(net),
            bias=bool(net.b),
            train_bias=rule.train_bias,
            dtype=self._dtype,
            **rule.options(),
        )
        with torch.no_grad():
            for ours, given in self._pairs(net):
                ours.copy_(torch.from_numpy(given))
        trained = _trained(self._model, rule)
        self._optimiser: Any
        if recipe.optimiser == "sgd":
            self._optimiser = torch.optim.SGD(trained, lr=recipe.sgd_lr)
        elif recipe.optimiser == "torch_adamw":
            self._optimiser = torch.optim.AdamW(
                trained,
                lr=recipe.lr,
                betas=(recipe.beta1, recipe.beta2),
                eps=recipe.eps,
                weight_decay=recipe.weight_decay,
            )
        else:
            self._optimiser = recipe.numpy_optimiser()
        self._trained = trained

    def _pairs(self, net: Net) -> list[tuple[Any, Array]]:
        mine = [*self._model.W, *self._model.E, *(self._model.b or ())]
        return list(zip(mine, [*net.W, *net.E, *net.b], strict=True))

    def update(self, x: Array, labels: Array) -> Update:
        bp = self._rule.kind == "bp"
        compute = self._model.compute_backprop_update if bp else self._model.compute_lra_update
        self._last = compute(*self._tensors(x, labels))
        return _to_numpy(self._last, bp)

    def _tensors(self, x: Array, labels: Array) -> tuple[Any, Any]:
        images = self._torch.from_numpy(np.ascontiguousarray(x)).to(self._dtype)
        return images, self._torch.from_numpy(np.ascontiguousarray(labels))

    def apply(self) -> None:
        if isinstance(self._optimiser, self._torch.optim.Optimizer):
            self._model.apply_update(self._last, self._optimiser)
            return
        views = [parameter.detach().numpy() for parameter in self._trained]
        self._optimiser.step(views, _updates(self._last))

    def net(self) -> Net:
        return _net_of(self._model)


class TorchLoopLearner(TorchLearner):
    """`lra_e.torch_learner.Learner`, the training loop's, which steps in its own way."""

    def __init__(self, net: Net, rule: Rule, recipe: Recipe, dtype: str = "float64"):
        from lra_e.torch_learner import Learner as Loop

        super().__init__(net, rule, recipe, dtype)
        optim = self._torch.optim

        def make(parameters: list[Any]) -> Any:
            if recipe.optimiser == "sgd":
                return optim.SGD(parameters, lr=recipe.sgd_lr, fused=True)
            betas, decay = (recipe.beta1, recipe.beta2), recipe.weight_decay
            numbers = {"betas": betas, "eps": recipe.eps, "weight_decay": decay}
            return optim.AdamW(parameters, lr=recipe.lr, fused=True, **numbers)

        if recipe.optimiser == "keras_adamw":
            raise ValueError("the PyTorch training loop has no Keras optimiser")
        self._loop = Loop(self._model, make, rule=rule.kind)

    def update(self, x: Array, labels: Array) -> Update:
        self._batch = self._tensors(x, labels)
        return super().update(x, labels)

    def apply(self) -> None:
        self._loop.train_step(*self._batch)


class TensorFlowLearner:
    """`lra_e.tf_rule.MLP` with Keras' optimisers; what Keras cannot do to the last digit (torch's
    AdamW, a rate that is no float32 number) is the oracle's."""

    def __init__(self, net: Net, rule: Rule, recipe: Recipe, dtype: str = "float64"):
        import keras
        import tensorflow as tf

        from lra_e.tf_rule import MLP

        self._tf, self._keras = tf, keras
        self._rule, self._dtype, self._recipe = rule, dtype, recipe
        self._model = MLP(
            sizes_of(net),
            bias=bool(net.b),
            train_bias=rule.train_bias,
            dtype=dtype,
            **rule.options(),
        )
        mine = [*self._model.W, *self._model.E, *(self._model.b or ())]
        for variable, given in zip(mine, [*net.W, *net.E, *net.b], strict=True):
            variable.assign(given.astype(dtype))
        self._optimiser = self._new_optimiser()

    def _new_optimiser(self) -> Any:
        recipe, optimizers = self._recipe, self._keras.optimizers
        if recipe.optimiser == "sgd" and recipe.keeps_lr_in_float32:
            return optimizers.SGD(recipe.lr)
        if recipe.optimiser == "keras_adamw":
            return optimizers.AdamW(recipe.lr, **keras_numbers(recipe))
        return recipe.numpy_optimiser()

    def update(self, x: Array, labels: Array) -> Update:
        self._batch = self._tf.constant(x.astype(self._dtype)), self._tf.constant(labels)
        bp = self._rule.kind == "bp"
        compute = self._model.compute_backprop_update if bp else self._model.compute_lra_update
        self._last = compute(*self._batch)
        return _to_numpy(self._last, bp)

    def apply(self) -> None:
        if self._recipe.rebuilt:
            self._optimiser = self._new_optimiser()
        if isinstance(self._optimiser, self._keras.optimizers.Optimizer):
            self._model.apply_update(self._last, self._optimiser)
            return
        trained = _trained(self._model, self._rule)
        values = _arrays(trained)
        self._optimiser.step(values, _updates(self._last))
        for variable, value in zip(trained, values, strict=True):
            variable.assign(value)

    def net(self) -> Net:
        return _net_of(self._model)


class TensorFlowLoopLearner(TensorFlowLearner):
    """`lra_e.tf_learner.Learner`, the training loop's, compiled as it is when it trains."""

    def __init__(self, net: Net, rule: Rule, recipe: Recipe, dtype: str = "float64"):
        from lra_e.tf_learner import Learner as Loop
        from lra_e.tf_learner import RebuiltAdamW

        super().__init__(net, rule, recipe, dtype)
        if recipe.rebuilt:
            self._optimiser = RebuiltAdamW(recipe.lr, **keras_numbers(recipe))
        if not isinstance(self._optimiser, self._keras.optimizers.Optimizer):
            raise ValueError(f"the TensorFlow training loop has no optimiser for {recipe}")
        self._loop = Loop(self._model, self._optimiser, rule=rule.kind)

    def update(self, x: Array, labels: Array) -> Update:
        self._model = self._loop.model  # reading it brings its E up to date
        return super().update(x, labels)

    def apply(self) -> None:
        self._loop.train_step(*self._batch)

    def net(self) -> Net:
        return _net_of(self._loop.model)


def keras_numbers(recipe: Recipe) -> dict[str, float]:
    """AdamW's numbers under Keras' names."""
    return {
        "weight_decay": recipe.weight_decay,
        "beta_1": recipe.beta1,
        "beta_2": recipe.beta2,
        "epsilon": recipe.eps,
    }


def _to_numpy(update: Any, bp: bool) -> Update:
    """A framework's Update as the oracle's, in copies that later steps cannot change."""
    return Update(
        loss=float(update.loss),
        logits=_arrays([update.logits])[0],
        gW=_arrays(update.gW),
        gb=_arrays(update.gb),
        gE=_arrays(update.gE),
        e=[] if bp else _arrays(update.e),
        d=_arrays(update.d),
        y=_arrays(update.y),
    )


def _net_of(model: Any) -> Net:
    def arrays(parameters: Any) -> list[Array]:
        return _arrays(p.detach() if hasattr(p, "detach") else p for p in parameters or ())

    return Net(arrays(model.W), arrays(model.E), arrays(model.b))


def _trained(model: Any, rule: Rule) -> list[Any]:
    """The parameters that the optimiser holds, in the order of `_updates`."""
    errors = () if rule.kind == "bp" else model.E
    return [*model.W, *errors, *(model.b if rule.train_bias and model.b else ())]


def _updates(update: Any) -> list[Array]:
    return [*_arrays(update.gW), *_arrays(update.gE), *_arrays(update.gb)]


def _arrays(tensors: Any) -> list[Array]:
    """Copies on the host; None is no tensors. A torch tensor with a graph is refused by torch."""
    return [tensor.numpy().copy() for tensor in tensors or ()]


def sizes_of(net: Net) -> list[int]:
    """Layer sizes n_0 … n_L."""
    return [net.W[0].shape[0], *(w.shape[1] for w in net.W)]


LEARNERS: dict[str, Callable[..., Learner]] = {
    "numpy": NumpyLearner,
    "torch": TorchLearner,
    "torch-learner": TorchLoopLearner,
    "tensorflow": TensorFlowLearner,
    "tensorflow-learner": TensorFlowLoopLearner,
}
NEEDS: dict[str, tuple[str, ...]] = {
    "numpy": (),
    "torch": ("torch",),
    "torch-learner": ("torch",),
    "tensorflow": ("tensorflow",),
    "tensorflow-learner": ("tensorflow",),
}


def require(implementation: str) -> None:
    """Skip the running test where the implementation's framework is not installed."""
    lacking = missing(NEEDS[implementation])
    if lacking:
        pytest.skip(f"{implementation} needs {', '.join(lacking)}")


def make_learner(
    implementation: str, net: Net, rule: Rule, recipe: Recipe, dtype: str = "float64"
) -> Learner:
    """The named implementation, holding a copy of `net`."""
    return LEARNERS[implementation](net, rule, recipe, dtype)
