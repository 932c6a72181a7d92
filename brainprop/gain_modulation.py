"""An experiment: learning from attentional gain, the authors' prototype of January 2021.

python -m brainprop.gain_modulation --dataset digits --attention-span 3
"""

from dataclasses import dataclass

from common.cli import Options, command, option
from common.cli.params import batch, choice, fraction, layers, nonnegative, positive, positive_int
from common.cli.switches import switch, switch_options
from common.cli.training_options import training_options


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


@command(paper="brainprop", name="gain_modulation")
@training_options(
    dataset="mnist", datasets=("mnist", "fashion_mnist"), epochs=150, without=("audit_every",)
)
@option("--network", type=choice("dense", "conv"), default="dense", help="Kind of network.")
@option("--hidden", type=layers, default=None, show_default="1500-1000-500; conv 32-32-500",
        help="Widths of the hidden layers; conv: two of 3 x 3, the second with stride 2, then "
        "dense ones.")  # fmt: skip
@option("--attention-span", type=positive_int, default=1, help="Rounds of attention a sample.")
@option("--lr-a", type=positive, default=5e-3, help="Rate of the gains.")
@option("--lr-w", type=positive, default=1.0, help="Rate of the weights.")
@option("--epsilon", type=fraction, default=0.02, help="How often an action is drawn.")
@option("--max-gain", type=positive, default=0.5, help="Gains are clipped to +- this.")
@option("--std", type=nonnegative, default=0.02, help="Of the first weights.")
@option("--batch-size", type=batch, default=1, help="Samples a step; gains are each one's.")
@option("--val-split", type=fraction, default=0.1, help="Part of the training set held out.")
@switch_options(GainFidelity)
def main(options: Options) -> None:
    """Train a network by attentional gain: units that attention reached learn from reward."""
    from brainprop.gain.program import train

    train(options)


if __name__ == "__main__":
    main()
