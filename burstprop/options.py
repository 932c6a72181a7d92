"""The command line of train_mnist and train_cifar10 (burstprop, 3.1).

Every option answers to its old spelling (-weight_fa_std 0.1, -weight_fa_std=0.1, unique prefixes)
and to a modern one (--weight-fa-std).
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from burstprop.fidelity import Fidelity
from burstprop.recipes import RECIPES, SCRIPTS
from common.cli import Options, argument, option
from common.cli.params import (
    batch,
    boolean,
    choice,
    fraction,
    hidden_layers,
    nonnegative,
    positive,
    together,
)
from common.cli.switches import switch_options
from common.cli.training_options import training_options
from common.errors import UsageError

BURSTPROP_ONLY = ("p_baseline", "weight_fa_std", "weight_fa_learning", "recurrent_input",
                  "weight_r_range", "weight_r_learning", "recurrent_lr")  # fmt: skip


def script_options(script: str) -> Callable:
    """A decorator: the common options, the original's in its order, the switches."""
    about = SCRIPTS[script]
    rates = about.defaults

    nets = [
        option("-conv_net", type=boolean, default=False, help="Convolutional net."),
        option("-n_hidden_layers", type=hidden_layers, default=3,
               help="Hidden layers of 500 units in the fully connected net."),
    ]  # fmt: skip
    return together(
        argument("directory", same_as="out", help="Results directory."),
        training_options(
            dataset=about.dataset,
            datasets=about.datasets,
            epochs=500,
            original={"epochs": ("-n_epochs",)},
        ),
        option("-batch_size", type=batch, default=32,
               help="Training images a step; 100 a step in tests."),
        option("-validation", type=boolean, default=False,
               help=f"Hold out {round(100 * about.hold_out, 1):g} % of the training images "
                    "and test on them."),
        *(nets if script == "mnist" else ()),
        option("-hidden_lr", type=positive, default=rates["hidden_lr"],
               help="Learning rate of all layers but the last."),
        option("-output_lr", type=positive, default=0.01,
               help="Learning rate of the last layer; with backprop, of all."),
        option("-weight_fa_std", type=nonnegative, default=1.0,
               help="Standard deviation of the initial feedback weights."),
        option("-momentum", type=fraction, default=rates["momentum"], help="Momentum."),
        option("-weight_decay", type=fraction, default=1e-6,
               help="Decay a step, multiplied by no rate; with backprop, of SGD."),
        option("-p_baseline", type=fraction, default=0.2,
               help="Burst probability of the output without a teacher."),
        option("-use_backprop", type=boolean, default=False, help="Train with backprop."),
        option("-weight_fa_learning", type=boolean, default=rates["weight_fa_learning"],
               help="Train the feedback weights."),
        option("-recurrent_input", type=boolean, default=True,
               help="Recurrent apical input in fully connected hidden layers."),
        option("-weight_r_range", type=nonnegative, default=0.01,
               help="Recurrent weights start uniform in +- so much."),
        option("-weight_r_learning", type=boolean, default=True,
               help="Train the recurrent weights."),
        option("-recurrent_lr", type=nonnegative, default=1e-4,
               help="Learning rate of the recurrent weights."),
        option("-use_node_pertubation", "--use-node-perturbation", "use_node_pertubation",
               type=boolean, default=False, help="Train with node perturbation."),
        option("-sequential_pertubation", "--sequential-perturbation",
               "sequential_pertubation", type=boolean, default=False,
               help="Perturb one layer at a time."),
        option("-perturb_units", type=boolean, default=False,
               help="With the former: one unit a batch."),
        option("-xi_mean", type=float, default=0.0, help="Mean of the noise."),
        option("-xi_std", type=positive, default=0.001,
               help="Standard deviation of the noise."),
        option("-info", type=str, default="", numbers=False,
               help="Free text for params.txt."),
        option("--recipe", type=choice(*RECIPES), default="script", original=False,
               help="Defaults of what is not typed: the program's, or a recipe's."),
        switch_options(Fidelity),
    )  # fmt: skip


def resolve(options: Options) -> Options:
    """Fill in the recipe, and what one option forces upon another, as the original does.

    UsageError for what goes not together, notes on stderr for what has no effect.
    """
    if options.precision == "bfloat16":
        raise UsageError("option --precision (=bfloat16) must be float32 or float64: burst rates "
                         "differ by less than bfloat16 can tell")  # fmt: skip
    if not options.resume:
        for name, value in RECIPES[options.recipe].items():
            if name not in options.typed and hasattr(options, name):
                setattr(options, name, value)
    switches = {field.name: getattr(options, field.name) for field in fields(Fidelity)}
    options.switches = Fidelity(**switches)
    if options.sequential_pertubation and (
        options.use_backprop or not options.use_node_pertubation
    ):
        raise UsageError("option -sequential_pertubation (=True) goes with -use_node_pertubation "
                         "True, and not with -use_backprop True")  # fmt: skip
    if not options.p_baseline:
        raise UsageError("option -p_baseline (=0) must be > 0: nothing would be taught")
    for name in ineffective(options):
        click.echo(f"note: -{name} has no effect here", err=True)
    if rule_of(options) not in ("burstprop", "feedback_alignment"):
        options.weight_fa_learning = options.recurrent_input = False
    if options.use_backprop:
        options.use_node_pertubation = False
    if not options.recurrent_input:
        options.weight_r_learning = False
    return options


def rule_of(options: Any) -> str:
    """Which rule the options ask for."""
    if options.use_backprop:
        return "backprop_matched" if options.switches.matched else "backprop"
    if options.use_node_pertubation:
        return "node_perturbation"
    return "burstprop" if options.weight_fa_learning else "feedback_alignment"


def ineffective(options: Any) -> list[str]:
    """Typed options that this run does not read."""
    rule, unread = rule_of(options), set()
    if rule not in ("burstprop", "feedback_alignment"):
        unread |= set(BURSTPROP_ONLY)
    if rule == "backprop":
        unread |= {"hidden_lr", "use_node_pertubation"}
    if rule == "backprop_matched":
        unread -= {"p_baseline"}
        unread |= {"use_node_pertubation"}
    if rule != "node_perturbation":
        unread |= {"xi_mean", "xi_std"}
    if not options.sequential_pertubation:
        unread |= {"perturb_units"}
    if not options.recurrent_input:
        unread |= {"weight_r_range", "weight_r_learning", "recurrent_lr"}
    if getattr(options, "conv_net", False):
        unread |= {"n_hidden_layers"}
    return [name for name in sorted(unread & set(options.typed))]


def describe(options: Any) -> str:
    """The net of a run in a word or two."""
    if hasattr(options, "conv_net"):
        return "conv" if options.conv_net else f"fc{options.n_hidden_layers}"
    return "conv"
