"""What asap.train and asap.eval have in common on the command line."""

from collections.abc import Callable

from asap.recipes import RECIPES
from common.cli import option
from common.cli.params import choice, factor, together

MODES = ("bp", "fa", "dfa", "kp", "asap", "asap_k4")
MODELS = ("convnet", "resnet18_not", "resnet18", "resnet34")
DATASETS = tuple(name for name in RECIPES if name != "digits")


def network_options(function: Callable) -> Callable:
    """A decorator: which network in which mode."""
    return together(
        option("--model", type=choice(*MODELS), default="convnet",
               help="Network; _not: without shortcuts."),
        option("--feedback", type=choice(*MODES), default="bp",
               help="Learning rule; kp is asap with every layer's own input."),
        option("--wt", is_flag=True, default=False,
               help="Share activations, but send errors through W (kp, asap, asap_k4)."),
        option("--width", type=factor, default=1.0, original=False,
               help="Factor of the network's widths."),
    )(function)  # fmt: skip
