"""What the six programs trained with (lra_e, 3), and what the paper is said to have used: options
by name, where they are not the defaults of `lra_e.options`, which are mnist_torch's."""

from typing import Any

_NEW_TF = {"weight_decay": 0.004, "adam_eps": 1e-7, "std_e": 1.0, "hold_out": "last"}
_OLD_TF = {
    "layers": [784, 256, 256, 256, 10],
    "optimizer": "sgd",
    "weight_decay": 0.0,
    "std_e": 1.0,
    "reduction": "sum",
    "hold_out": "first",
    "validation": 5000,
}
_FASHION = {"dataset": "fashion_mnist"}
RECIPES: dict[str, dict[str, Any]] = {
    "mnist_torch": {},
    "fmnist_torch": _FASHION | {"init": "linear"},
    "mnist_newTF": _NEW_TF,
    "fmnist_newTF": _FASHION | _NEW_TF | {"lr": 2e-4, "beta": 0.05},
    "mnist": _OLD_TF,
    "fmnist": _FASHION | _OLD_TF,
}

# Known at second hand alone, for the paper's text could not be opened (lra_e, 6).
PAPER: dict[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.01,
    "weight_decay": 0.0,
    "beta": 0.1,
    "init": "normal",
    **dict.fromkeys(("std_w", "std_e"), 0.05**0.5),
}
