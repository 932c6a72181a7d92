"""The command line of asap.train; no framework."""

from asap.fidelity import Fidelity
from asap.tasks import RECIPES
from common.cli import option
from common.cli.params import batch, choice, factor, positive
from common.cli.switches import switch_options
from common.cli.training_options import TrainingOptions, training_options

MODES = ("bp", "fa", "dfa", "kp", "asap", "asap_k4")
MODELS = ("convnet", "resnet18_not", "resnet18", "resnet34")
DATASETS = tuple(name for name in RECIPES if name != "digits")


@training_options(
    dataset="cifar10",
    datasets=DATASETS,
    original={"dataset": (), "epochs": (), "device": ()},
    epochs=200,
    epochs_alter_numbers=True,
)
class TrainOptions(TrainingOptions):
    """What asap.train takes."""

    model: str = option(
        type=choice(*MODELS), default="convnet", help="Network; _not: without shortcuts."
    )
    feedback: str = option(
        type=choice(*MODES),
        default="bp",
        help="Learning rule; kp is asap with every layer's own input.",
    )
    wt: bool = option(
        is_flag=True,
        default=False,
        help="Share activations, but send errors through W (kp, asap, asap_k4).",
    )
    width: float = option(
        type=factor, default=1.0, original=False, help="Factor of the network's widths."
    )
    lr: float = option(type=positive, default=0.03, help="Initial learning rate.")
    batch_size: int = option(type=batch, default=128, help="Training images a step, in all.")
    test_batch_size: int = option(type=batch, default=100, help="Test images a batch.")
    optimizer: str = option(
        type=choice("sgd", "adam"), default="sgd", help="SGD (momentum 0.9, decay 5e-4) or Adam."
    )
    augmentation: bool = option(
        "--augmentation",
        "--aug",
        is_flag=True,
        default=False,
        help="Random crops and flips (CIFAR, Tiny ImageNet).",
    )
    compile: bool = option(
        is_flag=True, default=False, original=False, help="torch.compile the network."
    )
    sync_bn: bool = option(
        is_flag=True,
        default=False,
        original=False,
        help="Batch norm over all processes of torchrun (CUDA).",
    )
    show_sharing: bool = option(
        is_flag=True,
        default=False,
        original=False,
        help="Print which layer learns from which activation, and stop.",
    )
    switches: Fidelity = switch_options(Fidelity)
