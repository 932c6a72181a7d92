"""Where the original's ImageNet programs and the paper part ways (s3net, imagenet 9).

Defects that no switch can show: top-5 that failed on any current PyTorch, lmdb records that no
pyarrow reads any more, --pretrained that was no name, paths and GPUs of one machine.
"""

from dataclasses import dataclass

from common.cli.switches import switch


@dataclass(frozen=True)
class Fidelity:
    """The switches of `s3net.imagenet.train` and `s3net.imagenet.validate_10crop`."""

    best_by: str = switch(
        corrected="top1",
        original="top5",
        choices=("top1", "top5"),
        defect="I1",
        effect="model_best.pth.tar is the network with the best top-5 accuracy",
        evidence="the test of the top-1 accuracy is overwritten by that of the top-5",
        help="What makes a network the best one",
    )
    ignore_arch: bool = switch(
        corrected=False,
        original=True,
        defect="I4",
        effect="--arch is a label: s3net_new_big2 is trained, s3net_new1 validated",
        evidence="the constructor stands in the code",
    )
    thousand_outputs: bool = switch(
        corrected=False,
        original=True,
        defect="I5",
        effect="1000 outputs however many classes the data have",
        evidence="the constructors' default, which no option changes",
    )
