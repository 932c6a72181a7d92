"""The command line of train_mnist and train_cifar10 (burstprop, 3.1).

Every option answers to its old spelling (-weight_fa_std 0.1, -weight_fa_std=0.1, unique prefixes)
and to a modern one (--weight-fa-std).
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from burstprop.fidelity import Fidelity
from burstprop.recipes import RECIPES
from common.cli import argument, option
from common.cli.options import variant
from common.cli.params import batch, boolean, choice, fraction, hidden_layers, nonnegative, positive
from common.cli.switches import switch_options
from common.cli.training_options import TrainingOptions, training_options
from common.errors import UsageError

BURSTING = ("burstprop", "feedback_alignment")
EPOCHS = {"epochs": ("-n_epochs",)}  # the common option that the original spells so


def flag(spelling: str, default: bool, help: str, *more: str) -> Any:
    """The field of an option that takes True or False, as the original's do."""
    return option(spelling, *more, type=boolean, default=default, help=help)


def number(spelling: str, kind: Any, default: float, help: str) -> Any:
    """The field of an option that takes a number of a kind of `common.cli.params`."""
    return option(spelling, type=kind, default=default, help=help)


@dataclass(frozen=True, kw_only=True)
class BurstpropOptions(TrainingOptions):
    """What all three training scripts take, in the original's order."""

    directory: Path | None = argument(same_as="out", help="Results directory.")
    batch_size: int = number("-batch_size", batch, 32, "Training images a step; 100 in tests.")
    validation: bool = flag(
        "-validation",
        False,
        "Hold out some training images and test on them: a sixth of MNIST, a fifth of CIFAR-10, "
        "3.9 % of ImageNet.",
    )
    hidden_lr: float = number(
        "-hidden_lr", positive, 0.01, "Learning rate of all layers but the last."
    )
    output_lr: float = number(
        "-output_lr", positive, 0.01, "Learning rate of the last layer; with backprop, of all."
    )
    weight_fa_std: float = number(
        "-weight_fa_std", nonnegative, 1.0, "Standard deviation of the initial feedback weights."
    )
    momentum: float = number("-momentum", fraction, 0.9, "Momentum of SGD.")
    weight_decay: float = number(
        "-weight_decay", fraction, 1e-6, "Decay a step, times no rate; with backprop, of SGD."
    )
    p_baseline: float = number(
        "-p_baseline", fraction, 0.2, "Burst probability of the output without a teacher."
    )
    use_backprop: bool = flag("-use_backprop", False, "Train with backprop.")
    weight_fa_learning: bool = flag(
        "-weight_fa_learning", True, "Train the feedback weights; False: a wider net (not MNIST's)."
    )
    info: str = option("-info", type=str, default="", numbers=False, help="Text for params.txt.")

    @property
    def rule(self) -> str:
        """Which rule the options ask for."""
        if self.use_backprop:
            return "backprop"
        return "burstprop" if self.weight_fa_learning else "feedback_alignment"

    def rates(self, layers: int) -> list[float]:
        """One learning rate a layer."""
        hidden = self.output_lr if self.rule == "backprop" else self.hidden_lr
        return [hidden] * (layers - 1) + [self.output_lr]

    def completed(self) -> Self:
        """These; UsageError where nothing would be taught."""
        if not self.p_baseline:
            raise UsageError("option -p_baseline (=0) must be > 0: nothing would be taught")
        return self


@dataclass(frozen=True, kw_only=True)
class SigmoidOptions(BurstpropOptions):
    """What train_mnist and train_cifar10 take; script: which of them, "mnist" or "cifar10"."""

    script: str = "mnist"
    conv_net: bool = True
    n_hidden_layers: int = 3
    recurrent_input: bool = flag(
        "-recurrent_input", True, "Recurrent apical input in fully connected hidden layers."
    )
    weight_r_range: float = number(
        "-weight_r_range", nonnegative, 0.01, "Recurrent weights start uniform in +- so much."
    )
    weight_r_learning: bool = flag("-weight_r_learning", True, "Train the recurrent weights.")
    recurrent_lr: float = number(
        "-recurrent_lr", nonnegative, 1e-4, "Learning rate of the recurrent weights."
    )
    use_node_pertubation: bool = option(
        "-use_node_pertubation",
        "--use-node-perturbation",
        type=boolean,
        default=False,
        help="Train with node perturbation.",
    )
    sequential_pertubation: bool = option(
        "-sequential_pertubation",
        "--sequential-perturbation",
        type=boolean,
        default=False,
        help="Perturb one layer at a time.",
    )
    perturb_units: bool = flag(
        "-perturb_units", False, "Perturb one unit a batch (with -sequential_pertubation)."
    )
    xi_mean: float = number("-xi_mean", float, 0.0, "Mean of the noise.")
    xi_std: float = number("-xi_std", positive, 0.001, "Standard deviation of the noise.")
    recipe: str = option(
        type=choice(*RECIPES),
        default="script",
        original=False,
        help="Defaults of what is not typed: the program's, or a recipe's.",
    )
    switches: Fidelity = switch_options(Fidelity)

    @property
    def rule(self) -> str:
        """Which rule the options ask for."""
        if self.use_backprop and self.switches.matched:
            return "backprop_matched"
        if self.use_node_pertubation and not self.use_backprop:
            return "node_perturbation"
        return super().rule

    def completed(self) -> Self:
        """With the recipe, and with what one option forces upon another, as the original does."""
        chosen = self if self.call.resumed else self._with_recipe()
        super(SigmoidOptions, chosen).completed()
        if chosen.precision == "bfloat16":
            raise UsageError(
                "option --precision (=bfloat16) must be float32 or float64: burst rates differ by "
                "less than bfloat16 can tell"
            )
        if chosen.sequential_pertubation and chosen.rule != "node_perturbation":
            raise UsageError(
                "option -sequential_pertubation (=True) goes with -use_node_pertubation True, and "
                "not with -use_backprop True"
            )
        bursting = chosen.rule in BURSTING
        recurrent = bursting and chosen.recurrent_input
        return replace(
            chosen,
            weight_fa_learning=bursting and chosen.weight_fa_learning,
            recurrent_input=recurrent,
            weight_r_learning=recurrent and chosen.weight_r_learning,
            use_node_pertubation=chosen.use_node_pertubation and not chosen.use_backprop,
        )

    def _with_recipe(self) -> Self:
        """With the recipe's values of what was not typed."""
        recipe = {n: v for n, v in RECIPES[self.recipe].items() if n not in self.call.typed}
        switched = {each.name for each in fields(Fidelity)} & recipe.keys()
        switches = replace(self.switches, **{name: recipe.pop(name) for name in switched})
        return replace(self, switches=switches, **recipe)

    def ineffective(self) -> list[str]:
        """Typed options that this run does not read."""
        rule, unread = self.rule, set[str]()
        recurrent = {"weight_r_range", "weight_r_learning", "recurrent_lr"}
        if rule not in BURSTING:
            unread |= {"weight_fa_std", "weight_fa_learning", "recurrent_input"}
            unread |= recurrent if rule == "backprop_matched" else {"p_baseline", *recurrent}
        if rule == "backprop":
            unread |= {"hidden_lr"}
        if self.use_backprop:
            unread |= {"use_node_pertubation"}
        if rule != "node_perturbation":
            unread |= {"xi_mean", "xi_std"}
        if not self.sequential_pertubation:
            unread |= {"perturb_units"}
        if not self.recurrent_input:
            unread |= recurrent
        if self.conv_net:
            unread |= {"n_hidden_layers"}
        return sorted(unread & self.call.typed)


@training_options(dataset="mnist", datasets=("mnist", "fashion_mnist"), epochs=500, original=EPOCHS)
class _MnistOptions(SigmoidOptions):
    """What train_mnist takes."""

    conv_net: bool = flag("-conv_net", False, "Train the convolutional net.")
    n_hidden_layers: int = number(
        "-n_hidden_layers", hidden_layers, 3, "Hidden layers of 500 units without -conv_net."
    )


@training_options(dataset="cifar10", datasets=("cifar10",), epochs=500, original=EPOCHS)
class _Cifar10Options(SigmoidOptions):
    """What train_cifar10 takes."""


MnistOptions = variant(_MnistOptions, hidden_lr=0.1, momentum=0.8, weight_fa_learning=False)
Cifar10Options = variant(_Cifar10Options, script="cifar10")
