"""The words that the originals' command lines consist of, and what a script receives."""

import json
from typing import Any

import pytest

from common.cli import Command, Options, argument, command, option
from common.cli.params import Number, boolean, choice, existing_file, fraction, layers, positive
from common.cli.training_options import training_options
from common.errors import UsageError


@command(paper="burstprop", name="train_mnist")
@training_options(
    datasets=("mnist",),
    dataset="mnist",
    epochs=500,
    epochs_alter_numbers=True,
    original={"epochs": ("-n_epochs", "--n-epochs")},
)
@argument("directory", same_as="out")
@option("-use_backprop", type=bool, default=False)
@option("-n_hidden_layers", type=Number(int, 0), default=3)
@option("-hidden_lr", type=positive, default=0.1)
@option("-xi_mean", type=float, default=0.0)
@option("-p_baseline", type=fraction, default=0.2)
@option("-info", default="")
def burst(options: Options) -> Options:
    """Single-dash long options, as burstprop has them."""
    return options


@command(paper="asap", name="train")
@training_options(
    datasets=("mnist", "cifar10"),
    dataset="cifar10",
    epochs=200,
    original={"epochs": (), "dataset": (), "device": ()},
)
@option("--lr", type=positive, default=0.03)
@option("--batch-size", type=Number(int, 1), default=128)
@option("--feedback", type=choice("bp", "fa", "dfa", "asap", "asap_k4"), default="bp")
@option("--aug", is_flag=True)
@option("--layers", type=layers, default=[784, 10])
def asap(options: Options) -> Options:
    """Two dashes, as asap has them."""
    return options


@command(paper="brainprop", name="main")
@training_options(dataset="mnist", datasets=("mnist", "cifar10", "tiny_imagenet"))
@argument("problem", type=choice("mnist", "cifar10", "tiny_imagenet"), same_as="dataset")
@argument("architecture", type=choice("dense", "conv", "loccon", "deep"))
@argument("learning_algorithm", type=choice("BrainProp", "EBP"))
@option("-l", "--load", type=existing_file)
@option("-s", "--save", is_flag=True)
def brain(options: Options) -> Options:
    """Positionals and short options, as brainprop has them."""
    return options


@command(paper="burstprop", name="train_imagenet")
@training_options(datasets=("image_folder",), dataset="image_folder")
@argument("directory", same_as="out")
@argument("data_path", optional_with=("dataset",))
def imagenet(options: Options) -> Options:
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
    assert "epochs" in options.typed


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
    assert {"problem", "dataset"} <= plain.typed
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
    assert options.typed == {"lr", "out"}
    recorded = json.loads(json.dumps(options.as_dict()))
    assert recorded["out"] == "X"
    assert recorded["layers"] == [784, 10]
    assert recorded["limit_train"] is None
    assert recorded.keys() == {param.name for param in asap.params}
    assert (options.paper, options.name, options.script) == ("asap", "train", asap.script)


def test_a_script_can_leave_out_common_options_and_change_their_defaults() -> None:
    """A script without a data set offers one, or its own option meets ours."""

    @command(paper="s3net", name="ntk")
    @training_options(without=("dataset", "epochs"), seed=7, precision="float64")
    @option("--epochs", type=int, default=1)
    def main(options: Options) -> Options:
        return options

    options = run(main, "")
    assert (options.seed, options.precision, options.epochs) == (7, "float64", 1)
    assert "is unknown" in refused(main, "--dataset digits")
    with pytest.raises(TypeError, match="has no 'sead'"):
        training_options(sead=1)
    with pytest.raises(TypeError, match="declared twice"):
        command(paper="p", name="n")(option("--seed")(training_options()(lambda options: None)))
