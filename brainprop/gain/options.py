"""The command line of `brainprop.gain_modulation`; no framework."""

from dataclasses import dataclass, replace
from typing import Self

from common.cli import option
from common.cli.params import batch, choice, fraction, nonnegative, positive, positive_int
from common.cli.params import layers as layers_type
from common.cli.switches import switch, switch_options
from common.cli.training_options import TrainingOptions, training_options
from common.errors import UsageError

HIDDEN = {"dense": [1500, 1000, 500], "conv": [32, 32, 500]}


@dataclass(frozen=True)
class GainFidelity:
    """Where the notebook and its text part ways (brainprop, D20)."""

    double_softmax: bool = switch(
        corrected=False,
        original=True,
        defect="D20",
        effect="explored actions are drawn from softmax(p), nearly uniform, not from p",
        evidence="the notebook hands probabilities to a sampler that takes logits",
    )
    redrawn_validation: bool = switch(
        corrected=False,
        original=True,
        defect="D20",
        effect="the validation images are drawn anew each epoch, so that all become training "
        "images: it leaks",
        evidence="the notebook shuffles before it takes and skips",
    )


@training_options(
    dataset="mnist", datasets=("mnist", "fashion_mnist"), epochs=150, without=("audit_every",)
)
class GainOptions(TrainingOptions):
    """What brainprop.gain_modulation takes; `completed` fills in the widths."""

    network: str = option(type=choice("dense", "conv"), default="dense", help="Kind of network.")
    hidden: list[int] = option(
        type=layers_type,
        default=None,
        show_default="1500-1000-500; conv 32-32-500",
        help="Widths of the hidden layers; conv: two of 3 x 3, the second with stride 2, then "
        "dense ones.",
    )
    attention_span: int = option(type=positive_int, default=1, help="Rounds of attention a sample.")
    lr_a: float = option(type=positive, default=5e-3, help="Rate of the gains.")
    lr_w: float = option(type=positive, default=1.0, help="Rate of the weights.")
    epsilon: float = option(type=fraction, default=0.02, help="How often an action is drawn.")
    max_gain: float = option(type=positive, default=0.5, help="Gains are clipped to +- this.")
    std: float = option(
        type=nonnegative, default=0.02, help="Standard deviation of the first weights."
    )
    batch_size: int = option(
        type=batch, default=1, help="Samples a step, each with gains of its own."
    )
    val_split: float = option(
        type=fraction, default=0.1, help="Part of the training set that is held out."
    )
    switches: GainFidelity = switch_options(GainFidelity)

    def completed(self) -> Self:
        """With the network's own widths where none are given. UsageError for bfloat16."""
        if self.precision == "bfloat16":
            raise UsageError("option --precision (=bfloat16) must be float32 or float64 here")
        return replace(self, hidden=self.hidden or HIDDEN[self.network])
