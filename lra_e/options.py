"""The command line of the six programs: one set of options, each script's recipe as defaults."""

from collections.abc import Callable
from typing import Any

from common.cli import Options, option
from common.cli.params import batch, choice, layers, nonnegative, positive, positive_int, together
from common.cli.switches import switch_options
from common.cli.training_options import training_options
from common.errors import UsageError
from lra_e.recipes import PAPER, RECIPES
from lra_e.settings import CHOICES


def lra_e_options(script: str, switches: type) -> Callable:
    """A decorator: the common options, the rule's, and the script's switches."""
    recipe = RECIPES[script]

    return together(
        training_options(
            dataset=recipe.dataset,
            datasets=("mnist", "fashion_mnist"),
            epochs=100,
            seed=1234,
        ),
        option("--rule", type=choice("lra_e", "bp", "fixed_e"), default="lra_e",
               help="LRA-E, backprop of the same net, or LRA-E with E as it starts."),
        option("--recipe", type=choice("script", "paper"), default="script",
               help="Defaults: this program's, or the paper's (known at second hand)."),
        option("--layers", type=layers, default=list(recipe.layers),
               help="Widths from pixels to classes."),
        option("--activation", type=choice(*CHOICES["activation"]), default="tanh",
               help="Of the hidden layers."),
        option("--beta", type=positive, default=recipe.beta,
               help="Displacement of the targets."),
        option("--gamma", type=nonnegative, default=1.0, help="Scale of E's update."),
        option("--local-loss", type=choice(*CHOICES["local_loss"]), default="gaussian",
               help="Error of a hidden layer: z - y, or the earlier paper's log-penalty."),
        option("--normalise/--no-normalise", default=False,
               help="Divide every update by its Frobenius norm."),
        option("--bias/--no-bias", default=False, help="Train biases with the mean error."),
        option("--optimizer", type=choice("adamw", "sgd"), default=recipe.optimizer,
               help="Of W and E alike."),
        option("--lr", type=positive, default=recipe.lr, help="Learning rate."),
        option("--weight-decay", type=nonnegative, default=recipe.weight_decay,
               help="Of AdamW."),
        option("--adam-beta1", type=nonnegative, default=0.9, help="Of AdamW."),
        option("--adam-beta2", type=nonnegative, default=0.999, help="Of AdamW."),
        option("--adam-eps", type=positive, default=recipe.adam_eps, help="Of AdamW."),
        option("--batch-size", type=batch, default=50, help="Images a batch."),
        option("--reduction", type=choice(*CHOICES["reduction"]), default=recipe.reduction,
               help="Updates are the batch's mean or sum."),
        option("--init", type=choice("normal", "linear"), default=recipe.init,
               help="First weights: normal, or uniform as nn.Linear draws them."),
        option("--std-w", type=positive, default=recipe.std_w, help="Of normal W."),
        option("--std-e", type=positive, default=recipe.std_e, help="Of normal E."),
        option("--hold-out", type=choice("first", "last", "random"),
               default=recipe.hold_out, help="Which training images validate."),
        option("--validation", type=positive_int, default=recipe.validation,
               help="How many, counted in 60,000."),
        switch_options(switches),
    )  # fmt: skip


def resolve(options: Options) -> Options:
    """Fill in the paper's recipe where asked for; a value typed on the command line stands.

    UsageError for a precision in which LRA-E does not train.
    """
    if options.precision == "bfloat16":
        raise UsageError("option --precision (=bfloat16) must be float32 or float64: AdamW's steps "
                         "would be lost in bfloat16 weights")  # fmt: skip
    if options.recipe == "paper" and not options.resume:
        for name, value in PAPER.items():
            if name not in options.typed:
                setattr(options, name, value)
    return options


def describe(options: Any) -> str:
    """The net and its rule in a few words, for the first lines that a program prints."""
    net = "-".join(map(str, options.layers))
    return f"{net} {options.activation}, rule {options.rule}, {options.optimizer} lr {options.lr:g}"
