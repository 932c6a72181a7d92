"""What train_mnist and train_cifar10 do once their options are read."""

from collections.abc import Iterable
from typing import Any

import click
import torch

from burstprop import stored
from burstprop.fidelity import REVISIONS
from burstprop.inspection.angles import weight_angles
from burstprop.learner import (
    BackpropLearner,
    BurstLearner,
    Learner,
    MatchedBackpropLearner,
    PerturbationLearner,
)
from burstprop.networks import BurstNetwork, make_network
from burstprop.options import BURSTING, SigmoidOptions
from burstprop.perturbation.original import OriginalPerturbation
from burstprop.perturbation.rule import Noise, Perturbation
from burstprop.recipes import BASELINE_GAIN, GAIN
from burstprop.tasks import INPUTS, load_task
from burstprop.update import BurstUpdate
from common.backends import torch_backend, torch_distributed, torch_layout, torch_trial
from common.backends.torch_distributed import World
from common.data.torch_batches import TorchBatches
from common.errors import UsageError
from common.runs.run import Run
from common.runs.settings import RunSettings

TAGS = {
    f"{a.lower()}_{b}": f"{a}_{b.title()}" for a in ("Train", "Test") for b in ("error", "loss")
}


def train(options: SigmoidOptions) -> None:
    """Train and test as the options say, into the results directory."""
    device = torch_backend.set_up(
        options.device, options.seed, options.threads, options.deterministic
    )
    world, device = torch_distributed.join(device)
    check(options, world)
    inputs, revision = INPUTS[options.script], REVISIONS[options.switches.revision]
    task = load_task(
        options.dataset,
        options.data_dir,
        inputs,
        download=not options.no_download,
        validation=options.validation,
        seed=options.seed,
        limit_train=options.limit_train,
        limit_test=options.limit_test,
    )
    torch_trial.affordable(lambda: network(options, torch.device("meta")))
    net = network(options, device)
    rates = options.rates(len(net.names))
    learner = make_learner(options, net, rates, world)
    learner.rule = options.rule
    train_set, test_set = task.batches(
        world,
        options.batch_size,
        seed=options.seed,
        clean_hold_out=options.switches.clean_hold_out,
        normalised=options.script != "mnist" or revision.normalised,
        layout="NCHW" if options.conv_net else "flat",
        device=device,
        dtype=torch_backend.floats(options.precision),
    )
    kind = "conv" if options.conv_net else f"fc{options.n_hidden_layers}"
    name = f"{options.dataset}_{kind}_{options.rule}"
    if world.main:
        for unread in options.ineffective():
            click.echo(f"note: -{unread} has no effect here", err=True)
        click.echo(net)
        click.echo(
            f"rule {options.rule}, learning rates {rates}, {learner.parameters():,} parameters "
            "learn"
        )
    settings, record = RunSettings.of(options), options.record()
    delta_angles = options.switches.delta_angles
    with Run(
        settings, record, learner, data=task.data, device=device, name=name, world=world, tags=TAGS
    ) as run:
        if run.step == 0:
            if run.main:
                stored.write_beginning(run.directory, learner.net, record, rates)
            if isinstance(learner, BurstLearner) and delta_angles != "off":
                learner.look(*next(iter(train_set)))
            evaluate(run, learner, test_set.epoch(0), delta_angles)
        for epoch in run.epochs():
            if world.main:
                click.echo(f"Epoch {epoch + 1}.")
            train_epoch(run, learner, train_set, delta_angles)
            loss, accuracy = run.train_figures()
            run.log(train_error=100 - accuracy)
            if world.main:
                click.echo(f"Train: loss {loss:.4f}, accuracy {accuracy:.2f} %")
            evaluate(run, learner, test_set.epoch(epoch + 1), delta_angles)
            if world.main:
                stored.save_network(net, run.directory / "model.pth")
    if world.main:
        click.echo(f"Run: {run.directory}")
    world.close()


def train_epoch(run: Run, learner: Learner, train_set: TorchBatches, delta_angles: str) -> None:
    """One epoch. Delta angles are measured where somebody looks: in its last batch."""
    if isinstance(learner, BurstLearner) and learner.average and run.batch == 0:
        learner.forget_angles()
    last = len(train_set) - 1
    for images, labels in run.batches(train_set):
        if isinstance(learner, BurstLearner) and delta_angles == "last" and run.batch == last:
            learner.watch = True
        run.add(learner.train_step(images, labels))


def evaluate(run: Run, learner: Learner, tests: Iterable[Any], delta_angles: str) -> None:
    """Test, log the test error and the angles, print."""
    loss, accuracy = run.evaluate("test", tests)
    run.log(test_error=100 - accuracy)
    if isinstance(learner, BurstLearner):
        run.log(**{f"weight_angle/{i}": v for i, v in enumerate(weight_angles(learner.net))})
        if delta_angles != "off":
            run.log(**{f"delta_angle/{i}": v for i, v in enumerate(learner.delta_angles)})
    if run.main:
        click.echo(f"Test: loss {loss:.4f}, accuracy {accuracy:.2f} %")


def check(options: SigmoidOptions, world: World) -> None:
    """UsageError for what several processes cannot do."""
    world.share(options.batch_size)
    if world.size > 1 and options.use_node_pertubation:
        raise UsageError(
            "option -use_node_pertubation (=True) needs a single process: all would draw the same "
            "noise"
        )


def network(options: SigmoidOptions, device: torch.device) -> BurstNetwork:
    """The network of the options, drawn from the seed (4.5)."""
    revision, rule = REVISIONS[options.switches.revision], options.rule
    feedback = recurrent = None
    if rule in BURSTING:
        feedback = "learned" if options.weight_fa_learning else "fixed"
        if options.recurrent_input:
            recurrent = "learned" if options.weight_r_learning else "fixed"
    kind = options.script
    if kind == "cifar10" and rule == "feedback_alignment":
        kind = "cifar10_wide"
    elif kind == "mnist" and options.conv_net:
        kind = "mnist_conv"
    net = make_network(
        kind,
        hidden=options.n_hidden_layers,
        p_baseline=options.p_baseline,
        feedback=feedback,
        recurrent=recurrent,
    )
    own = GAIN[options.script] if rule in (*BURSTING, "backprop_matched") else BASELINE_GAIN
    torch_backend.seed_all(options.seed)  # the draws above are replaced by these
    for layer in net.layers:
        layer.draw(
            revision.gain or own,
            options.weight_fa_std,
            options.weight_r_range,
            revision.normal_recurrent,
        )
    net = net.to(device=device, dtype=torch_backend.floats(options.precision))
    torch_layout.lay(net, torch.channels_last)
    return net


def make_learner(
    options: SigmoidOptions, net: BurstNetwork, rates: list[float], world: World
) -> Learner:
    """The learner of the options' rule."""
    momentum, decay = options.momentum, options.weight_decay
    if options.rule == "backprop":
        return BackpropLearner(net, options.output_lr, momentum, decay, world)
    update = BurstUpdate(
        net,
        rates,
        momentum=momentum,
        weight_decay=decay,
        recurrent_lr=options.recurrent_lr,
        by_batch=REVISIONS[options.switches.revision].by_batch,
        world=world,
    )
    if options.rule == "backprop_matched":
        return MatchedBackpropLearner(net, update, options.p_baseline)
    if options.rule == "node_perturbation":
        return PerturbationLearner(net, update, perturbation(options, net))
    average = options.switches.delta_angles == "epoch"
    return BurstLearner(net, update, average=average)


def perturbation(options: SigmoidOptions, net: BurstNetwork) -> Perturbation | OriginalPerturbation:
    """Node perturbation in the mode and the form of the options."""
    mode = "all"
    if options.sequential_pertubation:
        mode = "units" if options.perturb_units else "layers"
    noise, switches = Noise(options.xi_mean, options.xi_std), options.switches
    if not switches.noise_reaches_output:
        return OriginalPerturbation(net, mode, noise, options.xi_std)
    return Perturbation(net, mode, noise, options.xi_std, switches.error_differences)
