"""Where the original programs and the paper part ways (s3net_cifar100.md, section 9).

Defects that no switch can show: block outputs that travelled through module globals, a constructor
that changed the options it was given, a batch of one that failed, an evaluation that kept its
graph. The best epoch is picked on the test set, as there; the last one is printed beside it.
"""

from dataclasses import dataclass

from common.switches import switch


@dataclass(frozen=True)
class Fidelity:
    """The switches of `s3net.cifar100.train_S3Net`."""

    ignore_depth: bool = switch(
        corrected=False,
        original=True,
        defect="depth",
        effect="twelve layers a block whatever --depth says",
        evidence="the layers are computed from 40, not from the option",
    )
    dropout_needs_augmentation: bool = switch(
        corrected=False,
        original=True,
        defect="augmentation",
        effect="--dropout has no effect unless --augmentation is given, which does nothing else",
        evidence="crops and flips are always on; the option only gates the probability",
    )
    dropout_in_test: bool = switch(
        corrected=False,
        original=True,
        defect="dropout",
        effect="the blocks drop outputs in evaluation too",
        evidence="the function is called without its training flag",
    )
    report_loss_by_images: bool = switch(
        corrected=False,
        original=True,
        defect="loss",
        effect="printed losses are about 1/64 of the mean loss",
        evidence="a sum of batch means is divided by the number of images",
    )
