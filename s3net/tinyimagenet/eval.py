"""Test a trained network: `python -m s3net.tinyimagenet.eval [--model-path P]`.

P is a run directory of the trainer, a safetensors file, or a .pth with a state dict. Without it,
the small S3 in `s3net/weights`, trained on ten classes of Tiny ImageNet.
"""

import click

from common.cli import Options, command, option
from common.cli.params import Device, batch, choice, path, positive_int, side
from s3net.tinyimagenet.data import DATASETS
from s3net.tinyimagenet.models import MODELS


@command(paper="s3net", name="eval")
@option(
    "--model-path",
    type=path,
    default=None,
    original=False,
    help="A run directory, a safetensors file or a .pth.",
)
@option(
    "--model",
    type=choice(*MODELS),
    default=None,
    original=False,
    help="Network, where the file does not say.",
)
@option(
    "--dataset",
    "--data",
    "dataset",
    type=choice(*DATASETS, "digits"),
    default="tiny_imagenet",
    original=False,
    help="Data set.",
)
@option(
    "--image-size",
    type=side,
    default=None,
    original=False,
    help="Images are enlarged to this side (default: the model's, else 224).",
)
@option("--test-batch-size", type=batch, default=200, original=False, help="Images a batch.")
@option("--device", type=Device(), default="auto", original=False, help="cpu, cuda, cuda:1.")
@option("--data-dir", type=path, default=None, original=False, help="Folder of the data sets.")
@option(
    "--no-download/--download", default=False, original=False, help="Fail where data are missing."
)
@option(
    "--limit-test",
    type=positive_int,
    default=None,
    original=False,
    help="Test on so many images only.",
)
@option(
    "--export",
    type=path,
    default=None,
    original=False,
    help="Also write the network to this safetensors.",
)
def main(options: Options) -> None:
    """Print a network's accuracy on the validation set."""
    import torch

    from common.backends import torch_backend
    from common.data.torch_batches import TorchBatches
    from s3net.data import load_task
    from s3net.learner import Learner
    from s3net.stored import export
    from s3net.tinyimagenet.data import MEAN, STD
    from s3net.tinyimagenet.models import open_network

    opened = open_network(options.model, options.model_path, options.image_size)
    device = torch_backend.choose_device(options.device)
    task = load_task(options)
    learner = Learner(opened.net.to(device), 1.0, size=opened.size)
    batches = TorchBatches(task.test, options.test_batch_size, device=device, layout="NCHW",
                           mean=MEAN, std=STD)  # fmt: skip
    correct = sum(int(learner.eval_step(images, labels)[1]) for images, labels in batches)
    accuracy = 100 * correct / len(task.test)
    if options.export:
        more = {"image_size": opened.size, "classes": list(task.data.classes)}
        more |= {"test_accuracy": round(accuracy, 4), "tested_on": f"{len(task.test)} images of "
                 f"{task.data.name}"}  # fmt: skip
        export(opened.stored, more, options.export)
        click.echo(options.export)
    click.echo(f"{opened.name}, {learner.parameters()} parameters, {opened.about}")
    click.echo(f"{len(task.test)} test images of {task.data.name}, torch {torch.__version__}, "
               f"{device}")  # fmt: skip
    click.echo(f"test accuracy : {accuracy:.2f}")


if __name__ == "__main__":
    main()
