"""What train_mnist and train_cifar10 do once their options are read."""

from typing import Any

import click
import torch

from burstprop import networks, stored
from burstprop.angles import weight_angles
from burstprop.fidelity import REVISIONS
from burstprop.learner import (
    BackpropLearner,
    BurstLearner,
    Learner,
    MatchedBackpropLearner,
    PerturbationLearner,
)
from burstprop.networks import BurstNetwork
from burstprop.options import describe, resolve, rule_of
from burstprop.perturbation.original import OriginalPerturbation
from burstprop.perturbation.rule import Noise, Perturbation
from burstprop.recipes import BASELINE_GAIN, SCRIPTS, Script, Task, load_task
from burstprop.update import BurstUpdate
from common.backends import torch_backend, torch_distributed, torch_layout, torch_trial
from common.data.torch_batches import TorchBatches
from common.errors import UsageError
from common.runs.run import Run

TEST_BATCH = 100
TAGS = {
    f"{a.lower()}_{b}": f"{a}_{b.title()}" for a in ("Train", "Test") for b in ("error", "loss")
}


def train(options: Any, script_name: str) -> None:
    """Train and test as the options say, into the results directory."""
    options, script = resolve(options), SCRIPTS[script_name]
    device = torch_backend.set_up(options)
    world, device = torch_distributed.join(device)
    check(options, world)
    task = load_task(options, script)
    rule = rule_of(options)
    torch_trial.affordable(lambda: network(options, script, rule, torch.device("meta")))
    net = network(options, script, rule, device)
    rates = learning_rates(options, net)
    learner = make_learner(options, net, rule, rates, world)
    learner.rule = rule
    train_set, test_set = batches(options, task, device, world)
    name = f"{options.dataset}_{describe(options)}_{rule}"
    if world.main:
        click.echo(net)
        click.echo(
            f"rule {rule}, learning rates {rates}, {learner.parameters():,} parameters learn"
        )
    with Run(
        options, learner, data=task.data, device=device, name=name, world=world, tags=TAGS
    ) as run:
        if run.step == 0:
            begin(run, options, learner, rates)
            report(run, learner, first=train_set, tests=test_set.epoch(0))
        for epoch in run.epochs(options.epochs):
            if world.main:
                click.echo(f"Epoch {epoch + 1}.")
            teach(run, learner, train_set)
            report(run, learner, tests=test_set.epoch(epoch + 1))
            if world.main:
                learner.state()  # settles what no step needs
                stored.save_network(net, run.directory / "model.pth")
    if world.main:
        click.echo(f"Run: {run.directory}")
    world.close()


def teach(run: Run, learner: Learner, train_set: TorchBatches) -> None:
    """One epoch. Delta angles are measured where somebody looks: in its last batch."""
    angles = isinstance(learner, BurstLearner) and run.options.switches.delta_angles
    if isinstance(learner, BurstLearner) and learner.average and run.batch == 0:
        learner.forget_angles()
    last = len(train_set) - 1
    for images, labels in run.batches(train_set):
        if angles == "last" and run.batch == last:
            learner.watch = True  # type: ignore[attr-defined]
        run.add(learner.train_step(images, labels))


def report(run: Run, learner: Learner, tests: Any, first: TorchBatches | None = None) -> None:
    """Test, measure angles, log, print. first: training has not begun, and its first batch is what
    delta angles are measured with."""
    loss, accuracy = run.evaluate("test", tests)
    run.log(test_error=100 - accuracy)
    if first is None:
        train_loss, train_accuracy = run.train_figures()
        run.log(train_error=100 - train_accuracy)
        if run.main:
            click.echo(f"Train: loss {train_loss:.4f}, accuracy {train_accuracy:.2f} %")
    if isinstance(learner, BurstLearner):
        run.log(**{f"weight_angle/{i}": v for i, v in enumerate(weight_angles(learner.net))})
        if run.options.switches.delta_angles != "off":
            if first is not None:
                learner.look(*next(iter(first)))
            run.log(**{f"delta_angle/{i}": v for i, v in enumerate(learner.delta_angles)})
    if run.main:
        click.echo(f"Test: loss {loss:.4f}, accuracy {accuracy:.2f} %")


def begin(run: Run, options: Any, learner: Learner, rates: list[float]) -> None:
    """What the original writes before it trains."""
    if not run.main:
        return
    shown = {k: v for k, v in options.as_dict().items() if k not in ("hidden_lr", "output_lr")}
    stored.write_params(run.directory, shown | {"lr": rates})
    stored.copy_sources(run.directory)
    stored.save_network(learner.net, run.directory / "initial_model.pth")


def check(options: Any, world: Any) -> None:
    """UsageError for what several processes cannot do."""
    if options.batch_size % world.size:
        raise UsageError(f"option -batch_size (={options.batch_size}) must be a multiple of the "
                         f"{world.size} processes")  # fmt: skip
    if world.size > 1 and options.use_node_pertubation:
        raise UsageError("option -use_node_pertubation (=True) needs a single process: all would "
                         "draw the same noise")  # fmt: skip


def network(options: Any, script: Script, rule: str, device: torch.device) -> BurstNetwork:
    """The network of the options, drawn from the seed (4.5)."""
    revision = REVISIONS[options.switches.revision]
    bursting = rule in ("burstprop", "feedback_alignment")
    how: dict[str, Any] = {"p_baseline": options.p_baseline, "feedback": None, "recurrent": None}
    if bursting:
        how["feedback"] = "learned" if options.weight_fa_learning else "fixed"
    if bursting and options.recurrent_input:
        how["recurrent"] = "learned" if options.weight_r_learning else "fixed"
    if script.dataset == "cifar10":
        net = networks.cifar10(wide=rule == "feedback_alignment", **how)
    elif options.conv_net:
        net = networks.mnist_conv(**how)
    else:
        net = networks.mnist(options.n_hidden_layers, **how)
    own = script.gain if bursting or rule == "backprop_matched" else BASELINE_GAIN
    torch_backend.seed_all(options.seed)  # the draws above are replaced by these
    for layer in net.layers:
        layer.draw(
            revision.gain or own,
            options.weight_fa_std,
            options.weight_r_range,
            revision.normal_recurrent,
        )
    net = net.to(device=device, dtype=torch_backend.DTYPES[options.precision])
    torch_layout.lay(net, torch.channels_last)
    return net


def learning_rates(options: Any, net: BurstNetwork) -> list[float]:
    """One a layer."""
    hidden = options.output_lr if rule_of(options) == "backprop" else options.hidden_lr
    return [hidden] * (len(net.names) - 1) + [options.output_lr]


def make_learner(
    options: Any, net: BurstNetwork, rule: str, rates: list[float], world: Any
) -> Learner:
    """The learner of a rule."""
    momentum, decay = options.momentum, options.weight_decay
    if rule == "backprop":
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
    if rule == "backprop_matched":
        return MatchedBackpropLearner(net, update, options.p_baseline, world)
    if rule == "node_perturbation":
        return PerturbationLearner(net, update, perturbation(options, net))
    average = options.switches.delta_angles == "epoch"
    return BurstLearner(net, update, average=average, world=world)


def perturbation(options: Any, net: BurstNetwork) -> Perturbation | OriginalPerturbation:
    """Node perturbation in the mode and the form of the options."""
    mode = "all"
    if options.sequential_pertubation:
        mode = "units" if options.perturb_units else "layers"
    noise, switches = Noise(options.xi_mean, options.xi_std), options.switches
    if not switches.noise_reaches_output:
        return OriginalPerturbation(net, mode, noise, options.xi_std)
    return Perturbation(net, mode, noise, options.xi_std, switches.error_differences)


def batches(
    options: Any, task: Task, device: torch.device, world: Any
) -> tuple[TorchBatches, TorchBatches]:
    """Training batches and test batches (6.1, 6.2)."""
    script, switches = task.script, options.switches
    flat = script.dataset == "mnist" and not options.conv_net
    place: dict[str, Any] = {"device": device, "dtype": torch_backend.DTYPES[options.precision],
                             "layout": "flat" if flat else "NCHW"}  # fmt: skip
    if script.dataset != "mnist" or REVISIONS[switches.revision].normalised:
        place |= {"mean": script.mean, "std": script.std}
    augmented = {"pad": script.pad, "flip": True, "seed": options.seed} if script.pad else {}
    train_set = TorchBatches(
        task.train,
        options.batch_size // world.size,
        shuffle=True,
        part=(world.rank, world.size),
        **{"seed": options.seed} | augmented | place,
    )
    again = augmented if task.held_out and not switches.clean_hold_out else {}
    return train_set, TorchBatches(task.test, TEST_BATCH, **again | place)
