"""The words that the originals' command lines consist of, and what a script receives."""

import json
from dataclasses import FrozenInstanceError, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.cli import Command, Options, argument, command, option, variant
from common.cli.params import Number, boolean, choice, existing_file, fraction, layers, positive
from common.cli.training_options import TrainingOptions, training_options
from common.errors import UsageError


@training_options(
    datasets=("mnist",),
    dataset="mnist",
    epochs=500,
    epochs_alter_numbers=True,
    original={"epochs": ("-n_epochs", "--n-epochs")},
)
class BurstOptions(TrainingOptions):
    """What `train_mnist` takes."""

    directory: Path | None = argument(same_as="out")
    use_backprop: bool = option("-use_backprop", type=bool, default=False)
    n_hidden_layers: int = option("-n_hidden_layers", type=Number(int, 0), default=3)
    hidden_lr: float = option("-hidden_lr", type=positive, default=0.1)
    xi_mean: float = option("-xi_mean", type=float, default=0.0)
    p_baseline: float = option("-p_baseline", type=fraction, default=0.2)
    info: str = option("-info", default="")


@command(BurstOptions, paper="burstprop", name="train_mnist")
def burst(options: BurstOptions) -> Options:
    """Single-dash long options, as burstprop has them."""
    return options


@training_options(
    datasets=("mnist", "cifar10"),
    dataset="cifar10",
    epochs=200,
    original={"epochs": (), "dataset": (), "device": ()},
)
class AsapOptions(TrainingOptions):
    """What `train` takes."""

    lr: float = option(type=positive, default=0.03)
    batch_size: int = option(type=Number(int, 1), default=128)
    feedback: str = option(type=choice("bp", "fa", "dfa", "asap", "asap_k4"), default="bp")
    aug: bool = option(is_flag=True)
    layers: list[int] = option(type=layers, default=[784, 10])


@command(AsapOptions, paper="asap", name="train")
def asap(options: AsapOptions) -> Options:
    """Two dashes, as asap has them."""
    return options


@training_options(dataset="mnist", datasets=("mnist", "cifar10", "tiny_imagenet"))
class BrainOptions(TrainingOptions):
    """What `main` takes."""

    problem: str | None = argument(
        type=choice("mnist", "cifar10", "tiny_imagenet"), same_as="dataset"
    )
    architecture: str | None = argument(type=choice("dense", "conv", "loccon", "deep"))
    learning_algorithm: str | None = argument(type=choice("BrainProp", "EBP"))
    load: Path | None = option("-l", "--load", type=existing_file)
    save: bool = option("-s", "--save", is_flag=True)


@command(BrainOptions, paper="brainprop", name="main")
def brain(options: BrainOptions) -> Options:
    """Positionals and short options, as brainprop has them."""
    return options


@training_options(datasets=("image_folder",), dataset="image_folder")
class ImagenetOptions(TrainingOptions):
    """What `train_imagenet` takes."""

    directory: Path | None = argument(same_as="out")
    data_path: str | None = argument(optional_with=("dataset",))


@command(ImagenetOptions, paper="burstprop", name="train_imagenet")
def imagenet(options: ImagenetOptions) -> Options:
    """A data path that a named data set makes superfluous."""
    return options


def run(script: Command, line: str, *more: str) -> Any:
    return script.main([*line.split(), *more], standalone_mode=False)


def refused(script: Command, line: str, *more: str) -> str:
    with pytest.raises(UsageError) as error:
        run(script, line, *more)
    return str(error.value)


@pytest.mark.parametrize(
    "words",
    ["-n_epochs 10", "-n_epochs=10", "--n-epochs 10", "--n_epochs=10", "--epochs 10", "-n_e 10"],
)
def test_every_spelling_of_an_option_sets_the_same_value(words: str) -> None:
    """A spelling that lands elsewhere trains for the default 500 epochs."""
    options = run(burst, f"RESULTS {words}")
    assert options.epochs == 10
    assert "epochs" in options.call.typed


def test_the_originals_burstprop_line_is_understood() -> None:
    """The README's command of the original stops working."""
    options = run(
        burst, "RESULTS -n_epochs 10 -use_backprop TRUE -xi_mean -0.1 -info", "free -text"
    )
    assert (options.directory, options.out) == (options.out, options.directory)
    assert str(options.out) == "RESULTS"
    assert options.use_backprop is True
    assert options.xi_mean == -0.1
    assert options.info == "free -text"
    assert run(burst, "R", "-info=two words").info == "two words"
    assert run(burst, "R", "-info", "-1 is low").info == "-1 is low"


@pytest.mark.parametrize("text", ["1", "yes", "0", "", "Falsee"])
def test_a_boolean_is_true_or_false_and_nothing_else(text: str) -> None:
    """`-use_backprop 1` trains the other rule without a word, as in the original."""
    message = refused(burst, "X", f"-use_backprop={text}")
    assert message == f"option -use_backprop (={text}) must be True or False"
    assert boolean.convert("fAlSe", None, None) is False


def test_a_prefix_that_was_unique_in_the_original_stays_unique() -> None:
    """Our own --audit, --deterministic and --data-dir break `--a`, `--de`, `--dat`."""
    options = run(asap, "--feed asap --a --de 1 --dat mnist --e 3 --b 7")
    assert (options.feedback, options.aug, options.device) == ("asap", True, 1)
    assert (options.dataset, options.epochs, options.batch_size) == ("mnist", 3, 7)
    assert options.audit is False


def test_an_ambiguous_prefix_lists_the_candidates() -> None:
    """One of two options is taken silently."""
    assert refused(asap, "--d 1") == "option --d is ambiguous: --dataset, --device"
    assert refused(burst, "X -n 3") == "option -n is ambiguous: -n_epochs, -n_hidden_layers"


def test_an_unknown_option_gets_the_nearest_spelling() -> None:
    """A misspelt option is dropped or taken for a positional."""
    assert refused(asap, "--bacth-size 3") == (
        "option --bacth-size is unknown; did you mean --batch-size?"
    )
    assert "--help" in refused(asap, "--zzzz")


def test_a_value_that_is_missing_does_not_swallow_the_next_option() -> None:
    """`--batch-size --aug` eats --aug and complains about the wrong thing."""
    assert refused(asap, "--batch-size --aug") == (
        "option --batch-size needs a value: an integer >= 1"
    )
    assert refused(asap, "--lr") == "option --lr needs a value: a finite number > 0"
    assert refused(asap, "--aug=3") == "option --aug (=3) takes no value"


@pytest.mark.parametrize("words", ["-s -l {}", "-sl {}", "-sl{}", "-s -l={}", "--sav --lo={}"])
def test_short_options_take_values_and_stand_together(words: str, tmp_path) -> None:
    """The original's `-l weights.h5 -s` evaluates nothing."""
    file = tmp_path / "weights.h5"
    file.write_text("")
    options = run(brain, "MNIST dense EBP " + words.format(file))
    assert (options.load, options.save) == (file, True)
    assert refused(brain, "MNIST dense EBP -l none.h5").endswith("must be an existing file")


def test_a_positional_data_set_and_the_option_are_one_value() -> None:
    """The run records one data set and trains on another."""
    plain = run(brain, "TinyImageNet dense brainprop")
    assert plain.problem == plain.dataset == "tiny_imagenet"
    assert plain.learning_algorithm == "BrainProp"
    assert {"problem", "dataset"} <= plain.call.typed
    for line in ("MNIST dense EBP --data digits", "dense EBP --dataset digits"):
        options = run(brain, line)
        assert (options.problem, options.dataset) == ("digits", "digits")
        assert (options.architecture, options.learning_algorithm) == ("dense", "EBP")


def test_a_named_data_set_makes_the_data_path_optional() -> None:
    """`--dataset digits` asks for a folder that it does not need."""
    assert run(imagenet, "R /data").data_path == "/data"
    assert run(imagenet, "R --dataset digits").data_path is None
    assert refused(imagenet, "R") == "argument DATA_PATH is missing (or give --dataset)"
    assert str(run(imagenet, "/data --out R").directory) == "R"


def test_missing_and_superfluous_positionals_are_named() -> None:
    """A forgotten results directory becomes the name of something else."""
    assert refused(burst, "") == "argument DIRECTORY is missing: a path (or give --out)"
    assert "argument LEARNING_ALGORITHM is missing: one of" in refused(brain, "MNIST dense")
    assert refused(burst, "A B") == ("argument (=B) is one too many: this command takes DIRECTORY")


@pytest.mark.parametrize(
    ("script", "words", "message"),
    [
        (asap, "--lr -1", "option --lr (=-1) must be > 0"),
        (asap, "--lr nan", "option --lr (=nan) must be a finite number > 0"),
        (asap, "--lr x", "option --lr (=x) must be a finite number > 0"),
        (asap, "--batch-size 1.5", "option --batch-size (=1.5) must be an integer >= 1"),
        (asap, "--limit-train 0", "option --limit-train (=0) must be >= 1"),
        (asap, "--seed -1", "option --seed (=-1) must be >= 0"),
        (burst, "X -p_b 1.5", "option -p_baseline (=1.5) must be between 0 and 1"),
        (burst, "X -xi_mean inf", "option -xi_mean (=inf) must be a finite number"),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_range(script, words, message) -> None:
    """NaN, negative rates and half images reach the training loop."""
    assert refused(script, words) == message


def test_a_choice_names_the_allowed_values_and_the_nearest() -> None:
    """A typing error trains the default rule, or lists nothing to choose from."""
    message = refused(asap, "--feedback asap_k5")
    assert message == (
        "option --feedback (=asap_k5) must be one of bp, fa, dfa, asap, asap_k4; "
        "did you mean asap_k4?"
    )
    assert run(asap, "--data fmnist", "--dataset", "CIFAR-10").dataset == "cifar10"
    assert refused(brain, "MNIST dense EPB").startswith("argument LEARNING_ALGORITHM (=EPB) must")


@pytest.mark.parametrize("text", ["784,256,10", "784-256-10", "784, 256, 10"])
def test_layers_are_a_list_of_sizes(text: str) -> None:
    """A separator glued to a size gives another network."""
    assert run(asap, "", f"--layers={text}").layers == [784, 256, 10]


@pytest.mark.parametrize("text", ["784", "784,0,10", "784,-5,10", "784--10", "a,b", ""])
def test_a_layer_list_without_a_network_is_refused(text: str) -> None:
    """An empty or negative layer fails deep inside a framework."""
    assert f"option --layers (={text}) must be at least 2" in refused(asap, "", f"--layers={text}")


@pytest.mark.parametrize(
    ("text", "value"),
    [("auto", "auto"), ("CPU", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("0", 0)],
)
def test_a_device_keeps_its_form(text: str, value: object) -> None:
    """asap's `--device 0` turns into a string that no framework knows."""
    assert run(asap, f"--device {text}").device == value
    assert "must be auto, cpu, cuda" in refused(asap, "--device gpu0")


def test_audit_every_implies_audit() -> None:
    """An audit that was asked for never happens."""
    options = run(asap, "--audit-every 5")
    assert (options.audit, options.audit_every) == (True, 5)
    assert run(asap, "").audit is False


def test_the_data_folder_comes_from_the_environment_unless_typed(monkeypatch) -> None:
    """The data are downloaded a second time into ./data."""
    monkeypatch.delenv("CREDITLAB_DATA", raising=False)
    assert str(run(asap, "").data_dir) == "data"
    monkeypatch.setenv("CREDITLAB_DATA", "elsewhere")
    assert str(run(asap, "").data_dir) == "elsewhere"
    assert str(run(asap, "--data-dir here").data_dir) == "here"


def test_the_options_are_json_and_typed_names_are_told_apart() -> None:
    """config.json cannot be written, or a default counts as the person's wish."""
    options = run(asap, "--lr 0.03 --out X")
    assert options.call.typed == {"lr", "out"}
    recorded = json.loads(json.dumps(options.record()))
    assert recorded["out"] == "X"
    assert recorded["layers"] == [784, 10]
    assert recorded["limit_train"] is None
    assert recorded.keys() == {param.name for param in asap.params}
    assert (options.call.paper, options.call.name, options.call.script) == (
        "asap",
        "train",
        asap.script,
    )


def test_a_script_can_leave_out_common_options_and_change_their_defaults() -> None:
    """A script without a data set offers one, or its own option meets ours."""

    @training_options(without=("dataset", "epochs"), seed=7, precision="float64")
    class NtkOptions(TrainingOptions):
        turns: int = option(type=int, default=1)

    @command(NtkOptions, paper="s3net", name="ntk")
    def main(options: NtkOptions) -> Options:
        return options

    options = run(main, "")
    assert (options.seed, options.precision, options.turns) == (7, "float64", 1)
    assert options.dataset == "digits" and "dataset" not in options.record()
    assert "is unknown" in refused(main, "--dataset digits")
    with pytest.raises(TypeError, match="has no 'sead'"):
        training_options(sead=1)
    with pytest.raises(TypeError, match="declared twice"):

        @training_options()
        class Twice(TrainingOptions):
            mine: int = option("--seed", type=int, default=1)

        command(Twice, paper="p", name="n")(lambda options: None)


def test_options_are_made_without_a_command_and_cannot_be_changed() -> None:
    """A library's user forges an object with twenty attributes, or a program alters what it got."""
    options = AsapOptions(lr=0.5)
    assert (options.lr, options.batch_size, options.layers) == (0.5, 128, [784, 10])
    assert options.record() == {**run(asap, "--lr 0.5").record()}
    assert AsapOptions().layers is not AsapOptions().layers
    with pytest.raises(FrozenInstanceError):
        options.lr = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError, match="rate"):
        AsapOptions(rate=0.5)  # type: ignore[call-arg]


def test_a_variant_has_other_defaults_and_declarations_on_its_command_line() -> None:
    """The second of two scripts with one set of options trains with the first one's recipe."""
    other = variant(AsapOptions, lr=0.1, feedback=option(type=choice("bp", "fa"), default="fa"))

    @command(other, paper="asap", name="other")
    def main(options: AsapOptions) -> AsapOptions:
        return options

    options = run(main, "")
    assert (options.lr, options.feedback, options.batch_size) == (0.1, "fa", 128)
    assert (other().lr, AsapOptions().lr) == (0.1, 0.03)
    assert "must be one of bp, fa" in refused(main, "--feedback dfa")
    with pytest.raises(TypeError, match="has no 'rate'"):
        variant(AsapOptions, rate=1)


def test_a_command_completes_its_options_once() -> None:
    """A program that is handed half of its recipe."""

    @dataclass(frozen=True, kw_only=True)
    class Completed(Options):
        rate: float | None = option(type=positive)
        filled: str = ""  # no option: never typed, never recorded

        def completed(self) -> "Completed":
            return self if self.rate else replace(self, rate=0.5, filled="rate")

    @command(Completed, paper="p", name="n")
    def main(options: Completed) -> Completed:
        return options

    assert (run(main, "").rate, run(main, "").filled) == (0.5, "rate")
    assert run(main, "--rate 2").rate == 2
    assert run(main, "").record() == {"rate": 0.5}
    assert "is unknown" in refused(main, "--filled x")
