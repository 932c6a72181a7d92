"""Numbers that overflow: refused at once, in one line, by every program of every paper."""

import importlib
import math

import click
import pytest

from common.backends import memory
from common.cli import Command, Options, command
from common.cli.params import Layers, Number, Option, batch, factor, positive, seed, side, threads
from common.doors import bounds
from common.errors import UsageError, UserError
from tests.architecture.test_arrows import SCRIPTS, name_of

PROGRAMS = [
    name_of(path) for path in SCRIPTS if "@command" in path.read_text() and path.stem != "depth"
]


def command_of(name: str) -> Command:
    main = importlib.import_module(name).main
    assert isinstance(main, Command)
    return main


def refusal(main: Command, *words: str) -> str:
    with pytest.raises(UsageError) as caught:
        main.main([str(word) for word in words], standalone_mode=False)
    assert caught.value.code == 2 and "\n" not in str(caught.value)
    return str(caught.value)


def huge(kind: click.ParamType) -> list[str]:
    if isinstance(kind, Layers):
        return ["784,99999999999,10", "-".join(["9"] * 3000)]
    assert isinstance(kind, Number)
    return ["1e300", "1" + "0" * 400] if kind.kind is float else ["1" + "0" * 30, "1" + "0" * 400]


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_option_of_any_program_takes_a_number_that_overflows(name: str) -> None:
    """`-hidden_lr 1e300`: an hour of training, then a traceback out of torch's C++."""
    main, tried = command_of(name), 0
    positionals = ["x"] if any(getattr(p, "needed", False) for p in main.params) else []
    for param in main.params:
        if isinstance(param, Option) and isinstance(param.type, Number | Layers):
            spelling = param.opts[-1]
            for text in huge(param.type):
                message = refusal(main, *positionals, spelling, text)
                assert message.startswith("option -") and f"(={text})" in message, message
                tried += 1
    assert tried >= 2 or not any(isinstance(p.type, Number) for p in main.params)


@pytest.mark.parametrize(
    ("kind", "good", "bad", "words"),
    [
        (positive, "1e19", "1e38", "must be <= 1.8e+19"),
        (positive, "1e-37", "1e-300", "must be >= 1.2e-38: float32 has nothing smaller"),
        (seed, str(2**62 - 1), str(2**62), f"must be <= {2**62 - 1}"),
        (batch, str(2**20), "99999999", f"must be <= {2**20}"),
        (side, "224", "999999", "must be <= 8192"),
        (factor, "10", "1e6", "must be <= 1000"),
        (threads, "64", "99999", f"must be <= {bounds.MOST_PROCESSES}"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_number_has_its_bound(kind: Number, good: str, bad: str, words: str) -> None:
    """A bound that refuses what people use, or lets through what dies."""
    assert kind.convert(good, None, None) == kind.kind(good)
    with pytest.raises(UsageError) as caught:
        kind.convert(bad, None, None)
    assert words in str(caught.value)


def test_the_largest_float_has_a_square_in_float32() -> None:
    """A momentum or a norm that is infinite at the first step."""
    largest = (2 - 2**-23) * 2.0**127
    assert bounds.LARGEST**2 < largest < (1.1 * bounds.LARGEST) ** 2
    assert Number(float).convert("-1e19", None, None) == -1e19
    with pytest.raises(UsageError, match=r"must be >= -1.8e\+19"):
        Number(float).convert("-1e20", None, None)
    assert math.isclose(bounds.SMALLEST, 2.0**-126, rel_tol=0.03)


def test_memory_is_that_of_the_machine_or_its_container(tmp_path, monkeypatch) -> None:
    """A network refused on a machine that could hold it; one let through where a container kills
    it."""
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CGROUP", limit)
    whole = memory.total()
    assert whole is None or whole > 2**28
    limit.write_text("1000000\n")
    assert memory.total() == 1_000_000
    limit.write_text("max\n")
    assert memory.total() == whole
    limit.write_text("1000000\n")
    memory.check(1_000_000, "this")
    with pytest.raises(UsageError, match=r"^this would need 3.5 GB of memory; this machine has"):
        memory.check(3_500_000_000, "this")


class ResourceExhaustedError(Exception):
    """As TensorFlow's, whose name is all that a command line may know of it."""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (MemoryError("Unable to allocate 7 GiB"), "memory ran out: Unable to allocate 7 GiB; a"),
        (MemoryError(), "memory ran out: MemoryError; a smaller"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 7\nat x"), "can't allocate"),
        (ResourceExhaustedError("OOM when allocating tensor\n[[node]]"), "OOM when allocating"),
        (RuntimeError("shapes differ"), None),
    ],
    ids=["numpy", "python", "torch", "tensorflow", "a bug"],
)
def test_memory_that_runs_out_is_one_line(error, line, capsys) -> None:
    """Forty lines of traceback for a batch that is too large; a bug without its traceback."""

    @command(Options, paper="toy", name="toy")
    def toy(options: Options):
        """A toy."""
        raise error

    with pytest.raises(SystemExit if line else RuntimeError) as end:
        toy.main([])
    if isinstance(end.value, SystemExit):
        printed = capsys.readouterr().err
        assert end.value.code == 1 and line in printed and printed.count("\n") == 1


SMALL = "--data digits --limit-train 129 --limit-test 20 --quiet --epochs 1 --device cpu".split()
ASAP = ["asap.train", *SMALL, "--width", "0.05"]
CIFAR = ["s3net.cifar100.train_S3Net", *SMALL, "--depth", "7", "--growth-rate", "2"]
TINY = ["s3net.tinyimagenet.train", *SMALL]
IMAGES = ["s3net.imagenet.train", *SMALL, "-j", "0", "-a", "resnet18"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*ASAP, "--batch-size", "64"], r"option --batch-size \(=64\) makes a batch of one of 129"),
        ([*ASAP, "--batch-size", "1"], r"option --batch-size \(=1\) makes a batch of one"),
        ([*ASAP, "--model", "resnet18", "--feedback", "kp"], r"--batch-size \(=128\) makes a"),
        ([*ASAP, "--feedback", "dfa"], r"option --batch-size \(=128\) makes a batch of one"),
        (
            [*TINY, "--model", "ghostnet", "--image-size", "32", "--batch-size", "64"],
            r"option --batch-size \(=64\) makes a batch of one of 129 images, and batch norm needs",
        ),
        ([*TINY, "--image-size", "1"], r"option --image-size \(=1\): images of .* vanish"),
        ([*IMAGES, "--image-size", "32", "-b", "128"], r"option -b \(=128\) makes a batch of one"),
        ([*ASAP, "--width", "900"], "momenta would need .* GB of memory; this machine has"),
        ([*CIFAR, "--growth-rate", "999999"], "would need .* GB of memory"),
        ([*TINY, "--num-classes", "2000000000"], "would need .* GB of memory"),
    ],
    ids=lambda value: " ".join(value[:1] + value[-2:]) if isinstance(value, list) else "",
)
def test_what_cannot_be_trained_is_said_before_training(words, message, tmp_path) -> None:
    """A traceback after an epoch; a machine that swaps until it is reset."""
    pytest.importorskip("torch")
    name, *rest = words
    with pytest.raises(UsageError, match=message):
        command_of(name).main([*rest, "--out", str(tmp_path / "r")], standalone_mode=False)
    assert not (tmp_path / "r").exists()


def test_a_batch_of_one_trains_where_batch_norm_sees_more_than_one_value(tmp_path) -> None:
    """S3's maps of 8 x 8 are enough for batch norm: to refuse them would forbid what works."""
    pytest.importorskip("torch")
    rest = [*map(str, CIFAR[1:]), "--batch-size", "128", "--out", str(tmp_path / "r")]
    command_of(str(CIFAR[0])).main(rest, standalone_mode=False)
    assert (tmp_path / "r/summary.json").exists()


LARGE = ["--lr", "1e18"]
BURST = (
    "--data digits --limit-train 96 --limit-test 20 --quiet --device cpu -batch_size 8 -n_epochs 2"
).split()
NOISE = "-use_node_pertubation True -xi_std 1e-30".split()
DIVERGING = {
    "asap": [*ASAP, "--batch-size", "43", "--feedback", "asap", *LARGE],
    "lra_e": ["lra_e.mnist.mnist_torch", *SMALL, "--batch-size", "8", *LARGE],
    "burstprop": (
        "burstprop.train_imagenet --data digits --limit-train 8 --limit-test 4 -batch_size 4 "
        "-n_epochs 1 --width 0.03 --image-size 193 --workers 0 --quiet --device cpu "
        "-hidden_lr 1e18 -output_lr 1e18"
    ).split(),
    "burstprop bp": [
        *("burstprop.train_mnist", *BURST, "-use_backprop", "True", "-output_lr", "1e18")
    ],
    # Its rates saturate at any learning rate; a variance that is 0 in float32 divides by zero.
    "perturbation": ["burstprop.train_mnist", *BURST, *NOISE],
    "perturbation, original": ["burstprop.train_mnist", *BURST, *NOISE, "--compat", "original"],
    "cifar": [*CIFAR, "--batch-size", "43", *LARGE],
    "tiny": [*TINY, "--image-size", "32", "--model", "s3net_small", "--batch-size", "43", *LARGE],
    "imagenet": [*IMAGES, "--image-size", "32", "-b", "43", *LARGE],
}


@pytest.mark.parametrize("which", DIVERGING)
def test_every_torch_trainer_says_in_one_line_that_the_loss_is_no_number(which, tmp_path) -> None:
    """A week of NaN, a null in the record of a run that "finished", or torch's own traceback."""
    pytest.importorskip("torch")
    name, *rest = DIVERGING[which]
    pattern = r"^training stopped: the loss is (nan|-?inf) .*epoch 1, by step \d+; the last whole"
    with pytest.raises(UserError, match=pattern):
        command_of(name).main([*rest, "--out", str(tmp_path / "r")], standalone_mode=False)


TENSORFLOW = {
    "brainprop": [
        "brainprop.main",
        "MNIST",
        "dense",
        "BrainProp",
        *SMALL,
        "--batch-size",
        "32",
        "--width",
        "0.05",
        *LARGE,
    ],
    "gain": [
        "brainprop.gain_modulation",
        *SMALL,
        "--hidden",
        "9,9,9",
        "--batch-size",
        "32",
        "--lr-w",
        "1e19",
        "--std",
        "1e19",
    ],
    "lra_e": ["lra_e.mnist.mnist_newTF", *SMALL, "--batch-size", "8", *LARGE],
}


@pytest.mark.parametrize("which", TENSORFLOW)
def test_every_tensorflow_trainer_says_it_too(which, tmp_path) -> None:
    """The same in the other framework, where no loss ever raises by itself."""
    pytest.importorskip("tensorflow")
    name, *rest = TENSORFLOW[which]
    pattern = r"^training stopped: the loss is (nan|-?inf) .*epoch 1, by step \d+; the last whole"
    with pytest.raises(UserError, match=pattern):
        command_of(name).main([*rest, "--out", str(tmp_path / "r")], standalone_mode=False)


@pytest.mark.parametrize(
    "words",
    [
        ["brainprop.main", "MNIST", "loccon", "EBP", *SMALL, "--width", "999"],
        ["brainprop.gain_modulation", *SMALL, "--hidden", "2000000,2000000,9"],
        ["lra_e.mnist.mnist_newTF", *SMALL, "--layers", "784,2000000,2000000,10"],
    ],
    ids=lambda words: words[0],
)
def test_networks_of_tensorflow_are_measured_before_they_are_made(words, tmp_path) -> None:
    """Gigabytes of random numbers drawn, and then the kernel's OOM killer."""
    pytest.importorskip("tensorflow")
    with pytest.raises(UsageError, match="would need .* GB of memory; this machine has"):
        command_of(words[0]).main([*words[1:], "--out", str(tmp_path / "r")], standalone_mode=False)
