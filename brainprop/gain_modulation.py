"""An experiment: learning from attentional gain, the authors' prototype of January 2021.

python -m brainprop.gain_modulation --dataset digits --attention-span 3
"""

from brainprop.gain.options import GainOptions
from common.cli import command


@command(GainOptions, paper="brainprop", name="gain_modulation")
def main(options: GainOptions) -> None:
    """Train a network by attentional gain: units that attention reached learn from reward."""
    from brainprop.gain.program import train

    train(options)


if __name__ == "__main__":
    main()
