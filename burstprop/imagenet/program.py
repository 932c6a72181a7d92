"""What train_imagenet does once its options are read."""

from functools import partial
from typing import Any

import click
import torch

from burstprop import stored
from burstprop.angles import weight_angles
from burstprop.imagenet import checkpoint
from burstprop.imagenet.data import Task, load_task, streams
from burstprop.imagenet.learner import Learner, adam, sgd
from burstprop.imagenet.networks import imagenet
from burstprop.imagenet.options import rule_of
from burstprop.imagenet.progress import Progress
from common.backends import torch_backend, torch_distributed, torch_trial
from common.data.check_data import check
from common.data.torch_stream import TorchStream
from common.errors import UsageError
from common.runs.run import Run
from common.runs.schedules import steps

TAGS = {
    f"{half}_{figure}": f"{half.title()}_{tag}"
    for half in ("train", "test")
    for figure, tag in (
        ("accuracy", "Top-1_Accuracy"), ("top5_accuracy", "Top-5_Accuracy"), ("loss", "Loss")
    )
}  # fmt: skip


def train(options: Any) -> None:
    """Train and test as the options say, which `resolve` has seen, into the results directory."""
    device = torch_backend.set_up(options)
    world, device = torch_distributed.join(device)
    task = load_task(options)
    if options.check_data:
        check({"training images": task.train, "test images": task.test}, world, options.quiet)
    learner, rates = make_learner(options, task, device, world)
    train_set, test_set = streams(options, task, device, world)
    start = {}
    if options.resume_path and not options.resume:
        start = go_on(options, learner)
    if world.main:
        click.echo(learner.net)
        click.echo(f"rule {learner.rule}, learning rates {rates}, "
                   f"{learner.parameters():,} parameters learn")  # fmt: skip
    name = f"{options.dataset}_{learner.rule}"
    with Run(
        options, learner, data=task.data, device=device, name=name, world=world, tags=TAGS, **start
    ) as run:
        if run.step == 0 and run.main:
            begin(run, options, learner, rates)
        if run.step == 0:
            test(run, learner, test_set)
        for epoch in run.epochs(options.epochs):
            learner.set_lr([steps(rate, epoch) for rate in rates])
            run.log(lr=steps(rates[-1], epoch))
            teach(run, learner, train_set)
            accuracy = test(run, learner, test_set)
            better, learner.best = accuracy > learner.best, max(accuracy, learner.best)
            if run.main:
                keep(run, learner, better)
    if world.main:
        click.echo(f"Run: {run.directory}")
    world.close()


def make_learner(
    options: Any, task: Task, device: torch.device, world: Any
) -> tuple[Learner, list[float]]:
    """The learner of the options, drawn from the seed, and one learning rate a layer."""
    rule = rule_of(options)
    feedback = {"burstprop": "learned", "feedback_alignment": "fixed", "backprop": None}[rule]
    build = partial(
        imagenet,
        task.classes,
        feedback=feedback,
        width=options.width,
        image_size=options.image_size,
        weight_fa_std=options.weight_fa_std,
        p_baseline=options.p_baseline,
        kappa=options.kappa,
        exact=options.switches.exact_differences,
    )
    torch_trial.affordable(build)
    net = build().to(device=device, dtype=torch_backend.floats(options.precision))
    hidden = options.output_lr if rule == "backprop" else options.hidden_lr
    rates = [hidden] * (len(net.names) - 1) + [options.output_lr]
    make = adam() if options.use_adam else sgd(options.momentum, options.weight_decay)
    return Learner(net, rates, make, precision=options.precision, world=world), rates


def go_on(options: Any, learner: Learner) -> dict[str, Any]:
    """Read -resume_path into the learner; where the run begins."""
    epochs, best = checkpoint.load(learner, options.resume_path)
    if epochs >= options.epochs:
        raise UsageError(f"option -n_epochs (={options.epochs}) must be more than {epochs}, the "
                         f"epochs that {options.resume_path} has behind it")  # fmt: skip
    learner.best = best
    return {"start_epoch": epochs, "start_best": best}


def begin(run: Run, options: Any, learner: Learner, rates: list[float]) -> None:
    """What the original writes before it trains."""
    shown = {k: v for k, v in options.as_dict().items() if k not in ("hidden_lr", "output_lr")}
    stored.write_params(run.directory, shown | {"lr": rates})
    stored.copy_sources(run.directory)
    stored.save_network(learner.net, run.directory / "initial_model.pth")


def teach(run: Run, learner: Learner, train_set: TorchStream) -> None:
    """One epoch, or what is left of it."""
    quiet = run.options.quiet or not run.main
    progress = Progress(run.epoch + 1, run.batch, len(train_set), quiet)
    for images, labels in run.batches(train_set):
        progress.arrived()
        result = learner.train_step(images, labels)
        run.add(result)
        progress.done(result, len(labels))


def test(run: Run, learner: Learner, test_set: TorchStream) -> float:
    """Test, measure the angles of W and Y, print; top-1 accuracy in percent."""
    _, top1, top5 = run.evaluate("test", test_set)
    if learner.rule != "backprop":
        angles = weight_angles(learner.net, first=0).tolist()
        run.log(**{f"weight_angle/{i}": angle for i, angle in enumerate(angles)})
    if run.main:
        click.echo(f" * Acc@1 {top1:.3f} Acc@5 {top5:.3f}")
    return top1


def keep(run: Run, learner: Learner, better: bool) -> None:
    """The original's files of an epoch; best_model.pth.tar where top-1 has improved."""
    stored.save_network(learner.net, run.directory / "model.pth")
    best = run.directory / "best_model.pth.tar" if better else None
    checkpoint.save(
        learner, run.epoch + 1, learner.best, run.directory / "checkpoint.pth.tar", best
    )
