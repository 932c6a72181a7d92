"""The command line of the six programs: one set of options, each script's recipe as defaults."""

from dataclasses import replace
from typing import Self

from common.cli import option, variant
from common.cli.params import batch, choice, nonnegative, positive, positive_int
from common.cli.params import layers as layer_sizes
from common.cli.switches import switch_options
from common.cli.training_options import TrainingOptions, training_options
from common.errors import UsageError
from lra_e.fidelity import Shared
from lra_e.networks import CHOICES, RULES
from lra_e.recipes import PAPER, RECIPES


@training_options(dataset="mnist", datasets=("mnist", "fashion_mnist"), epochs=100, seed=1234)
class TrainOptions(TrainingOptions):
    """What the six programs take; the defaults are those of mnist_torch (lra_e, 3)."""

    rule: str = option(
        type=choice(*RULES),
        default="lra_e",
        help="LRA-E, backprop of the same net, or LRA-E with E as it starts.",
    )
    recipe: str = option(
        type=choice("script", "paper"),
        default="script",
        help="Defaults: this program's, or the paper's (known at second hand).",
    )
    layers: list[int] = option(
        type=layer_sizes,
        default=[784, 256, 256, 256, 256, 10],
        help="Widths from pixels to classes.",
    )
    activation: str = option(
        type=choice(*CHOICES["activation"]), default="tanh", help="Activation of hidden layers."
    )
    beta: float = option(type=positive, default=0.1, help="Displacement of the targets.")
    gamma: float = option(type=nonnegative, default=1.0, help="Scale of E's update.")
    local_loss: str = option(
        type=choice(*CHOICES["local_loss"]),
        default="gaussian",
        help="Error of a hidden layer: z - y, or the earlier paper's log-penalty.",
    )
    normalise: bool = option(
        "--normalise/--no-normalise",
        default=False,
        help="Divide every update by its Frobenius norm.",
    )
    bias: bool = option("--bias/--no-bias", default=False, help="Train biases with the mean error.")
    optimizer: str = option(
        type=choice("adamw", "sgd"), default="adamw", help="Optimiser of W and E alike."
    )
    lr: float = option(type=positive, default=1e-3, help="Learning rate.")
    weight_decay: float = option(type=nonnegative, default=0.01, help="AdamW's weight decay.")
    adam_beta1: float = option(type=nonnegative, default=0.9, help="AdamW's first moment decay.")
    adam_beta2: float = option(type=nonnegative, default=0.999, help="AdamW's second moment decay.")
    adam_eps: float = option(type=positive, default=1e-8, help="AdamW's addend to the divisor.")
    batch_size: int = option(type=batch, default=50, help="Images a batch.")
    reduction: str = option(
        type=choice(*CHOICES["reduction"]),
        default="mean",
        help="Updates are the batch's mean or sum.",
    )
    init: str = option(
        type=choice("normal", "linear"),
        default="normal",
        help="First weights: normal, or uniform as nn.Linear draws them.",
    )
    std_w: float = option(type=positive, default=0.1, help="Standard deviation of a normal W.")
    std_e: float = option(type=positive, default=0.1, help="Standard deviation of a normal E.")
    hold_out: str = option(
        type=choice("first", "last", "random"),
        default="random",
        help="Which training images validate.",
    )
    validation: int = option(
        type=positive_int, default=2000, help="How many images validate, counted in 60,000."
    )
    switches: Shared = switch_options(Shared)

    def completed(self) -> Self:
        """With the paper's recipe where asked for; a value typed on the command line stands.

        UsageError for a precision in which LRA-E does not train.
        """
        if self.precision == "bfloat16":
            raise UsageError(
                "option --precision (=bfloat16) must be float32 or float64: AdamW's steps would be "
                "lost in bfloat16 weights"
            )
        if self.recipe == "script" or self.call.resumed:
            return self
        return replace(self, **{k: v for k, v in PAPER.items() if k not in self.call.typed})


def options_of(script: str, switches: type[Shared]) -> type[TrainOptions]:
    """The options of one script: its recipe as defaults, and the switches that it has."""
    return variant(TrainOptions, **RECIPES[script], switches=switch_options(switches))


def described(options: TrainOptions) -> str:
    """The net and its rule in a few words, for the first lines that a program prints."""
    net = "-".join(map(str, options.layers))
    return f"{net} {options.activation}, rule {options.rule}, {options.optimizer} lr {options.lr:g}"
