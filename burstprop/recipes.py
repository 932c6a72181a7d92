"""What the paper trained with (burstprop, 3.1, 4.5), and recipes of our own.

`demo` is the notebook's command; `fig5` is ours, near the demo's: the paper's decay and Y's
deviation are not known, and the defaults align nothing (burstprop, D18).
"""

from typing import Any

GAIN = {"mnist": 1.0, "cifar10": 3.6}
"""Of burstprop's first weights, by script."""

BASELINE_GAIN = 3.6
"""Of the first weights of backprop and node perturbation."""

RECIPES: dict[str, dict[str, Any]] = {
    "script": {},
    "demo": {
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "hidden_lr": 1.0,
        "output_lr": 0.01,
        "weight_fa_std": 0.1,
        "weight_fa_learning": True,
        "epochs": 10,
        "n_hidden_layers": 1,
        "validation": True,
    },
    "fig5": {
        "momentum": 0.8,
        "weight_decay": 3e-4,
        "hidden_lr": 0.1,
        "output_lr": 0.003,
        "weight_fa_std": 0.3,
        "weight_fa_learning": True,
        "epochs": 15,
        "delta_angles": "epoch",
    },
}
"""Values of options that are not typed."""
