"""What the six programs trained with (lra_e, 3), and what the paper is said to have used."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """The constants of one program, under the names of its options."""

    dataset: str
    layers: tuple[int, ...] = (784, 256, 256, 256, 256, 10)
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 0.01
    adam_eps: float = 1e-8
    beta: float = 0.1
    init: str = "normal"  # or "linear", nn.Linear's default
    std_w: float = 0.1
    std_e: float = 0.1
    reduction: str = "mean"
    hold_out: str = "random"  # which images of the training set are the validation set
    validation: int = 2000


_TORCH = Recipe("mnist")
_NEW_TF = Recipe("mnist", weight_decay=0.004, adam_eps=1e-7, std_e=1.0, hold_out="last")
_OLD_TF = Recipe(
    "mnist",
    layers=(784, 256, 256, 256, 10),
    optimizer="sgd",
    weight_decay=0.0,
    std_e=1.0,
    reduction="sum",
    hold_out="first",
    validation=5000,
)

RECIPES = {
    "mnist_torch": _TORCH,
    "fmnist_torch": replace(_TORCH, dataset="fashion_mnist", init="linear"),
    "mnist_newTF": _NEW_TF,
    "fmnist_newTF": replace(_NEW_TF, dataset="fashion_mnist", lr=2e-4, beta=0.05),
    "mnist": _OLD_TF,
    "fmnist": replace(_OLD_TF, dataset="fashion_mnist"),
}

# Known at second hand alone, for the paper's text could not be opened (lra_e, 6).
PAPER = {
    "optimizer": "sgd",
    "lr": 0.01,
    "weight_decay": 0.0,
    "beta": 0.1,
    "init": "normal",
    "std_w": 0.05**0.5,
    "std_e": 0.05**0.5,
}
