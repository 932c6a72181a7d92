"""Where the original program and the paper part ways: every defect a switch (asap, 9).

Defects that no switch can show: D4, D5, D8, D10 and D16 kept commands from running, D9, D12, D13,
D14, D15 and D17 are features or cost, D11 lost tensors from checkpoints, D18 and D20 are properties
of the rule, D19 is reported (best beside last).
"""

from dataclasses import dataclass

from common.cli.switches import switch


@dataclass(frozen=True)
class Fidelity:
    """The switches of `asap.train`."""

    fa_feedback: str = switch(
        corrected="independent",
        original="copy",
        choices=("independent", "copy", "tied"),
        defect="D1",
        effect="feedback weights of fa's convolutions start as a copy of the forward ones; tied is "
        "backprop in the convolutions",
        evidence="both parameters are made from one storage, which a move to a GPU splits",
        help="Feedback weights of fa's convolutions",
    )
    feedback_init: str = switch(
        corrected="uniform",
        original="uniform",
        choices=("uniform", "scaled"),
        defect="D2",
        effect="feedback of linear layers is U(-1, 1) whatever their size: 13 to 26 times as wide "
        "as the forward weights; scaled draws it as those",
        evidence="one step moves the convolutions' weights by hundreds of times their norm",
        help="Feedback weights of the linear layers",
    )
    shortcut_slip: bool = switch(
        corrected=False,
        original=True,
        defect="D3",
        effect="resnet18_not keeps its shortcuts in bp, fa and dfa",
        evidence="a comparison stands where an assignment was meant; outputs equal resnet18's",
    )
    conv_bias: bool = switch(
        corrected=True,
        original=True,
        defect="D6",
        effect="convolutions of the ResNets have biases outside bp, which batch norm cancels",
        evidence="bias=False is passed and not read",
    )
    frozen_stem: bool = switch(
        corrected=True,
        original=True,
        defect="D7",
        effect="the first convolution is never trained in kp, asap and asap_k4",
        evidence="its output is detached",
    )
