"""Where train_imagenet's original and the paper part ways (burstprop, 9).

Defects that no switch can show: D3 and D4 kept the program from running, D6 decayed the learning
rate twice after a resume, D10 lost tensors, D16 is cost, D17 is strict booleans, D19 is `--seed`.
"""

from dataclasses import dataclass

from common.cli.switches import switch


@dataclass(frozen=True)
class Fidelity:
    """The switches of `train_imagenet`."""

    test_transform: str = switch(
        corrected="center",
        original="random",
        choices=("center", "random"),
        defect="D5",
        effect="tests see random crops and mirror images, as training does; center: the short side "
        "to 256, then the middle 224 x 224",
        evidence="one transform is made and given to both loaders",
        help="Crop of test images",
    )
    exact_differences: bool = switch(
        corrected=True,
        original=False,
        defect="D11",
        effect="burst rates and their differences are sent down, and nothing nearly equal is "
        "subtracted",
        evidence="off: conv1's first update in float32 is 1000 times its own size wrong, conv3's "
        "4 times; on: 1e-5 of it",
        help="Send burst rates and their differences, and subtract nothing nearly equal",
    )
