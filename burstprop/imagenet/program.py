"""What train_imagenet does once its options are read."""

from typing import Any

import click

from burstprop import stored
from burstprop.imagenet.learner import Learner, adam, sgd
from burstprop.imagenet.networks import make_network
from burstprop.imagenet.options import ImageNetOptions
from burstprop.imagenet.stored import load
from burstprop.imagenet.tasks import load_task
from burstprop.inspection.angles import weight_angles
from burstprop.networks import BurstNetwork
from common.backends import torch_backend, torch_distributed, torch_pth_tar, torch_trial
from common.data.check_data import check
from common.data.torch_stream import TorchStream
from common.errors import UsageError
from common.runs.run import Run
from common.runs.schedules import steps
from common.runs.settings import RunSettings
from common.runs.step_lines import StepLines, format_validation

TAGS = {
    f"{half}_{metric}": f"{half.title()}_{tag}"
    for half in ("train", "test")
    for metric, tag in (
        ("accuracy", "Top-1_Accuracy"),
        ("top5_accuracy", "Top-5_Accuracy"),
        ("loss", "Loss"),
    )
}


def train(options: ImageNetOptions) -> None:
    """Train and test as the options say, into the results directory."""
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    world, device = torch_distributed.join(device)
    task = load_task(
        options.dataset,
        options.data_dir,
        options.image_size,
        download=not options.no_download,
        validation=options.validation,
        seed=options.seed,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    if options.check_data:
        check({"training images": task.train, "test images": task.test}, world, options.quiet)
    torch_trial.affordable(lambda: network(options, task.classes))
    dtype = torch_backend.floats(options.precision)
    net = network(options, task.classes).to(device=device, dtype=dtype)
    rates = options.rates(len(net.names))
    make = adam() if options.use_adam else sgd(options.momentum, options.weight_decay)
    learner = Learner(net, rates, make, precision=options.precision, world=world)
    train_set, test_set = task.streams(
        world,
        options.batch_size,
        options.image_size,
        random_tests=options.switches.test_transform == "random",
        seed=options.seed,
        workers=options.workers,
        device=device,
        dtype=dtype,
    )
    start: dict[str, Any] = {}
    if options.resume_path and not options.resume:
        start = go_on(options, learner)
    if world.main:
        for unread in options.ineffective():
            click.echo(f"note: -{unread} has no effect here", err=True)
        click.echo(learner.net)
        click.echo(
            f"rule {learner.rule}, learning rates {rates}, {learner.parameters():,} parameters "
            "learn"
        )
    record, name = options.record(), f"{options.dataset}_{learner.rule}"
    about: dict[str, Any] = {"data": task.data, "device": device, "name": name, "world": world}
    with Run(RunSettings.of(options), record, learner, tags=TAGS, **about, **start) as run:
        if run.step == 0 and run.main:
            stored.write_beginning(run.directory, learner.net, record, rates)
        if run.step == 0:
            evaluate(run, learner, test_set)
        for epoch in run.epochs():
            learner.set_lr([steps(rate, epoch) for rate in rates])
            run.log(lr=steps(rates[-1], epoch))
            lines = StepLines(run, 0 if options.quiet else 10)
            for images, labels in lines.batches(train_set):
                result = learner.train_step(images, labels)
                run.add(result)
                lines.learnt(result, len(labels))
            accuracy = evaluate(run, learner, test_set)
            improved, learner.best = accuracy > learner.best, max(accuracy, learner.best)
            if run.main:
                save_epoch(run, learner, improved)
    if world.main:
        click.echo(f"Run: {run.directory}")
    world.close()


def network(options: ImageNetOptions, classes: int) -> BurstNetwork:
    """The network of the options, drawn from the seed."""
    feedback = {"burstprop": "learned", "feedback_alignment": "fixed", "backprop": None}
    return make_network(
        classes,
        feedback=feedback[options.rule],
        width=options.width,
        image_size=options.image_size,
        weight_fa_std=options.weight_fa_std,
        p_baseline=options.p_baseline,
        kappa=options.kappa,
        exact=options.switches.exact_differences,
    )


def go_on(options: ImageNetOptions, learner: Learner) -> dict[str, Any]:
    """Read -resume_path into the learner; where the run begins."""
    assert options.resume_path is not None
    epochs, learner.best = load(learner, options.resume_path)
    if epochs >= options.epochs:
        raise UsageError(
            f"option -n_epochs (={options.epochs}) must be more than {epochs}, the epochs that "
            f"{options.resume_path} has behind it"
        )
    return {"start_epoch": epochs, "start_best": learner.best}


def evaluate(run: Run, learner: Learner, test_set: TorchStream) -> float:
    """Test, measure the angles of W and Y, print; top-1 accuracy in percent."""
    loss, top1, top5 = run.evaluate("test", test_set)
    if learner.rule != "backprop":
        angles = weight_angles(learner.net, first=0).tolist()
        run.log(**{f"weight_angle/{i}": angle for i, angle in enumerate(angles)})
    if run.main:
        click.echo(format_validation(loss, top1, top5))
    return top1


def save_epoch(run: Run, learner: Learner, improved: bool) -> None:
    """The original's files of an epoch; best_model.pth.tar where top-1 has improved."""
    net = learner.net
    stored.save_network(net, run.directory / "model.pth")
    best, also = {"best_acc1": learner.best}, "best_model.pth.tar" if improved else None
    torch_pth_tar.save(run.directory, net, learner.optimiser, run.epoch + 1, best, also)
