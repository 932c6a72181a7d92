"""Test a trained network: `python -m s3net.tinyimagenet.evaluate [--model-path P]`.

P is a run directory of the trainer, a safetensors file, or a .pth with a state dict. Without it,
the small S3 in `s3net/weights`, trained on ten classes of Tiny ImageNet.
"""

from dataclasses import dataclass
from pathlib import Path

import click

from common.cli import Options, command, option
from common.cli.params import Device, batch, choice, path, positive_int, side
from s3net.tasks import TINY_DATASETS
from s3net.tinyimagenet.recipes import MODELS


@dataclass(frozen=True, kw_only=True)
class EvalOptions(Options):
    """What evaluate takes."""

    model_path: Path | None = option(
        type=path, help="A run directory, a safetensors file or a .pth."
    )
    model: str | None = option(type=choice(*MODELS), help="Network, where the file does not say.")
    dataset: str = option(
        "--dataset",
        "--data",
        type=choice(*TINY_DATASETS, "digits"),
        default="tiny_imagenet",
        help="Data set.",
    )
    image_size: int | None = option(
        type=side, help="Images are enlarged to this side (default: the model's, else 224)."
    )
    test_batch_size: int = option(type=batch, default=200, help="Images a batch.")
    device: str | int = option(type=Device(), default="auto", help="Device: cpu, cuda or cuda:1.")
    data_dir: Path | None = option(type=path, help="Folder of the data sets.")
    no_download: bool = option(
        "--no-download/--download", default=False, help="Fail where data are missing."
    )
    limit_test: int | None = option(type=positive_int, help="Test on so many images only.")
    export: Path | None = option(type=path, help="Also write the network to this safetensors file.")


@command(EvalOptions, paper="s3net", name="eval")
def main(options: EvalOptions) -> None:
    """Print a network's accuracy on the validation set."""
    import torch

    from common.backends import torch_backend
    from s3net.learner import Learner
    from s3net.stored import export
    from s3net.tasks import IMAGENET, load_task
    from s3net.tinyimagenet.networks import open_network

    opened = open_network(options.model, options.model_path, options.image_size)
    device = torch_backend.choose_device(options.device)
    task = load_task(
        options.dataset,
        options.data_dir,
        IMAGENET,
        download=not options.no_download,
        limit_test=options.limit_test,
    )
    learner = Learner(opened.net.to(device), 1.0, size=opened.size)
    batches = task.batches("test", options.test_batch_size, device=device)
    correct = sum(int(learner.eval_step(images, labels)[1]) for images, labels in batches)
    count, name = len(task.test), task.data.name
    accuracy = 100 * correct / count
    if options.export and opened.stored:
        about = {
            "image_size": opened.size,
            "classes": list(task.data.classes),
            "test_accuracy": round(accuracy, 4),
            "tested_on": f"{count} images of {name}",
        }
        export(opened.stored, about, options.export)
        click.echo(options.export)
    click.echo(f"{opened.name}, {learner.parameters()} parameters, {opened.about}")
    click.echo(f"{count} test images of {name}, torch {torch.__version__}, {device}")
    click.echo(f"test accuracy : {accuracy:.2f}")


if __name__ == "__main__":
    main()
