"""Where the original programs and the paper part ways (s3net, 9).

Each study has the switches that its own original needs; `Fidelity` is those of CIFAR and Tiny
ImageNet together. Defects that no switch can show, CIFAR's: block outputs that travelled through
module globals, a constructor that changed the options it was given, a batch of one that failed, an
evaluation that kept its graph. Tiny ImageNet's: a closing call that failed after ninety epochs,
imports of what is not there, graphs in a format that networkx gave up, a list of channels that was
not in the repository, a class that could be made once only, models of eight networks in one folder.
The best epoch is picked on the test set, as there; the last one is printed beside it.
"""

from dataclasses import dataclass

from common.cli.switches import switch


@dataclass(frozen=True)
class Cifar:
    """The switches of `s3net.cifar100.train_S3Net`."""

    ignore_depth: bool = switch(
        corrected=False,
        original=True,
        defect="C3",
        effect="twelve layers a block whatever --depth says",
        evidence="the layers are computed from 40, not from the option",
    )
    dropout_needs_augmentation: bool = switch(
        corrected=False,
        original=True,
        defect="C4",
        effect="--dropout has no effect unless --augmentation is given, which does nothing else",
        evidence="crops and flips are always on; the option only gates the probability",
    )
    dropout_in_test: bool = switch(
        corrected=False,
        original=True,
        defect="C2",
        effect="the blocks drop outputs in evaluation too",
        evidence="the function is called without its training flag",
    )
    report_loss_by_images: bool = switch(
        corrected=False,
        original=True,
        defect="C8",
        effect="printed losses are about 1/64 of the mean loss",
        evidence="a sum of batch means is divided by the number of images",
    )


@dataclass(frozen=True)
class Tiny:
    """The switches of `s3net.tinyimagenet`'s trainers."""

    thousand_outputs: bool = switch(
        corrected=False,
        original=True,
        defect="T1",
        effect="networks have 1000 outputs whatever the data set; 800 are never right on Tiny "
        "ImageNet",
        evidence="the parameter counts of table IV are those with 1000",
    )
    table_lr: bool = switch(
        corrected=False,
        original=False,
        defect="T7",
        effect="SE-ResNet-50 starts at the table's rate, 0.05, not at its program's, 0.005",
        evidence="the two differ; which one the table's number was made with is not known",
    )


@dataclass(frozen=True)
class Fidelity(Cifar, Tiny):
    """Every switch of the two studies."""
