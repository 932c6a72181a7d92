"""BrainProp's program as its user types it: two interfaces, what it prints, saves and refuses."""

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from brainprop.files import inputs, outputs
from brainprop.main import main
from brainprop.options import MainOptions
from common.cli import command
from common.errors import UsageError, UserError
from tests.helpers import commands
from tests.helpers.records import metrics

QUICK = (
    "--data digits --limit-train 320 --limit-test 120 --width 0.2 --batch-size 32 --quiet "
    "--threads 1"
).split()
NEW_STYLE = {
    "inputs_MNIST": "MNIST dense",
    "inputs_loccon_MNIST": "MNIST loccon",
    "inputs_loccon_C10": "CIFAR10 loccon",
    "inputs_loccon_C100": "CIFAR100 loccon",
    "inputs_C10": "CIFAR10 deep",
    "inputs_C100": "CIFAR100 deep",
    "inputs_TIN": "TinyImageNet deep",
}


@command(MainOptions, paper="brainprop", name="main")
def configured(options: MainOptions) -> MainOptions:
    """What main completes its options to."""
    return options


def options_of(line: str) -> dict:
    record = configured.main(line.split(), standalone_mode=False).record()
    return {name: value for name, value in record.items() if name != "words"}


def refused(line: str, kind: type[UserError] = UsageError) -> str:
    with pytest.raises(kind) as error:
        configured.main(line.split(), standalone_mode=False)
    return str(error.value)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A run with everything saved, made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("once"))
        words = [*QUICK, "--epochs", 3, "-s", "--lr", 0.3, "--out", "run"]
        start("MNIST", "conv", "BrainProp", *words)
        return Path.cwd()


@pytest.fixture
def trained(once, here):
    """Its files, here."""
    shutil.copytree(once, here, symlinks=True, dirs_exist_ok=True)
    return here


def start(*words: object):
    pytest.importorskip("tensorflow")
    return commands.start(main, *words)


# -- two interfaces, one configuration ------------------------------------------------------------


@pytest.mark.parametrize("file", NEW_STYLE)
def test_an_input_file_is_the_same_in_the_new_style(file, here):
    """The older interface trains another recipe than the newer one."""
    new_style = options_of(f"{NEW_STYLE[file]} BrainProp")
    for spelling in (file, f"{file}.py"):
        assert options_of(spelling) == new_style
    assert (
        new_style["epochs"] == 500
        and new_style["learning_rate"] == 0.1
        and new_style["patience"] == 45
    )


def test_a_file_beside_the_caller_comes_first_and_options_come_before_it(here):
    """The package's file is trained instead of the one that was written."""
    Path("inputs_MNIST.py").write_text(
        "import math\ndataset = 'MNIST'\narchitecture = 'conv'\n_rate = math.sqrt(0.04)\n"
        "learning_rate = _rate\nsave_weights = True\nlearning_algorithm = 'EBP'\n"
    )
    options = options_of("inputs_MNIST --epochs 3 --seed 9")
    wanted = options_of("MNIST conv EBP --epochs 3 --seed 9 --lr 0.2 --save-weights")
    assert options == wanted
    assert options_of("inputs_MNIST --lr 0.5 --data digits")["learning_rate"] == 0.5
    assert options_of("inputs_MNIST --data digits")["dataset"] == "digits"


def test_a_library_completes_them_too(here):
    """Options made without a command line, of which nothing was typed."""
    made = MainOptions(words=("MNIST", "loccon", "EBP"), width=0.5).completed()
    assert (made.dataset, made.architecture, made.learning_algorithm) == ("mnist", "loccon", "EBP")
    assert (made.batch_size, made.std, made.width) == (32, 0.005, 0.5)
    assert MainOptions(dataset="digits", architecture="dense").completed().std == 0.01
    assert made.completed() == made and not made.evaluates


def test_data_stands_in_for_the_first_word(here):
    """`--data digits` needs no download, with any architecture."""
    for architecture in ("dense", "conv", "loccon", "deep"):
        options = options_of(f"{architecture} BrainProp --data digits")
        assert (options["dataset"], options["architecture"]) == ("digits", architecture)
    assert options_of("--data digits")["architecture"] == "conv"
    assert options_of("tiny_imagenet deep ebp")["dataset"] == "tiny_imagenet"


def test_the_originals_preset_is_known_by_name():
    """--compat original without the defects that it promises."""
    options = options_of("MNIST conv BrainProp --compat original")
    assert (options["save_last"], options["accuracy"]) == (True, "argmax")
    assert options["zero_is_unselected"] and options["class_order"] == "listing"
    corrected = options_of("MNIST conv BrainProp")
    assert (corrected["save_last"], corrected["accuracy"]) == (False, "reward")
    assert options["third_dropout"] == corrected["third_dropout"] == 0.8


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("MNIST deep BrainProp", "(=deep) must be one of dense, loccon, conv for MNIST"),
        ("TinyImageNet conv EBP", "(=conv) must be one of deep for TinyImageNet"),
        ("MNISTT conv BrainProp", "did you mean MNIST?"),
        ("MNIST convv BrainProp", "did you mean conv?"),
        ("MNIST conv BrainPop", "did you mean BrainProp?"),
        ("MNIST conv", "must be DATASET ARCHITECTURE LEARNING_ALGORITHM | INPUT_FILE"),
        ("", "must be DATASET ARCHITECTURE LEARNING_ALGORITHM | INPUT_FILE"),
        ("inputs_FMNIST", "(=inputs_FMNIST) must be an input file"),
        ("MNIST conv BrainProp -l", "option -l needs a value"),
        ("MNIST conv EBP --feedback separate", "must be shared with EBP"),
        ("MNIST conv EBP --val-split 1", "must be below 1"),
        ("MNIST conv EBP --classes c.txt", "goes with -l only"),
        ("MNIST deep EBP --data digits --third-dropout 1", "must be from 0 to below 1"),
    ],
)
def test_a_wrong_word_is_one_line_that_names_it(line, part, here):
    """A traceback, or another network than the one that was meant."""
    assert part in refused(line)


@pytest.mark.parametrize(
    ("text", "part", "kind"),
    [
        (
            "dataset = 'MNIST'\nbatch_dim = -3\narchitecture = 'dense'",
            "batch_dim (=-3)",
            UsageError,
        ),
        (
            "dataset = 'MNIST'\narchitecture = 'dense'\nbatchdim = 3",
            "did you mean batch_dim?",
            UsageError,
        ),
        ("dataset = 'MNIST'", "variable architecture is missing", UsageError),
        ("dataset = 'NIST'\narchitecture = 'dense'", "did you mean MNIST?", UsageError),
        ("dataset =", "does not run as Python (SyntaxError", UserError),
        ("1 / 0", "does not run as Python (ZeroDivisionError", UserError),
    ],
)
def test_a_faulty_input_file_is_one_line_that_names_it(text, part, kind, here):
    """A stranger's file that fails somewhere inside of ours."""
    Path("mine.py").write_text(text)
    message = refused("mine", kind)
    assert message.startswith("mine.py") and part in message


def test_help_says_that_an_input_file_is_run(capsys):
    """Somebody's file runs without a warning."""
    with pytest.raises(SystemExit) as stop:
        main.main(["--help"])
    assert stop.value.code == 0
    assert "run as Python" in " ".join(capsys.readouterr().out.split())


# -- what training leaves -------------------------------------------------------------------------


def test_saving_leaves_the_originals_files(trained, capsys):
    """A file that the original's users look for is not there, or lies."""
    base = "digits_conv_BrainProp"
    lines = metrics(Path("run"))
    document = pickle.loads(Path(f"{base}_history.pkl").read_bytes())
    assert document == json.loads(Path(f"{base}_history.json").read_text())
    assert document[:2] == ["digits", "BrainProp"]
    assert document[2]["val_accuracy"] == [line["test_accuracy"] / 100 for line in lines]
    assert document[2]["lr"] == [0.3] * 3 and set(document[2]) == set(outputs.COLUMNS)
    assert Path(f"{base}_accuracy.pdf").read_bytes().startswith(b"%PDF")
    start("MNIST", "conv", "BrainProp", *QUICK, "--epochs", 1, "--save-weights", "--out", "second")
    assert Path(f"{base}_0_weights.h5").is_file() and not Path(f"{base}_0_history.pkl").exists()
    printed = capsys.readouterr().out
    assert "Experiment begins, training on digits with BrainProp" in printed
    assert f"Saved {base}_0_weights.h5" in printed and "the test set, 120 images" in printed


def test_saved_weights_evaluate_to_the_accuracy_of_their_epoch(trained, capsys):
    """Weights of another epoch than promised (brainprop, D6), or in another order."""
    lines = metrics(Path("run"))
    accuracies = [line["test_accuracy"] for line in lines]
    for file, wanted in (("weights.h5", max(accuracies)), ("last_weights.h5", accuracies[-1])):
        capsys.readouterr()
        start("MNIST", "conv", "BrainProp", *QUICK[:6], "-l", f"digits_conv_BrainProp_{file}")
        printed = capsys.readouterr().out
        assert f"Loading weights digits_conv_BrainProp_{file}" in printed
        accuracy = float(re.findall(r"accuracy: ([\d.]+)", printed)[0])
        assert accuracy == pytest.approx(wanted / 100, abs=6e-5)
    start("MNIST", "conv", "BrainProp", *QUICK[:6], "-l", "run")
    assert f"accuracy: {max(accuracies) / 100:.4f}" in capsys.readouterr().out


def test_a_run_of_before_goes_on_without_its_devices(trained):
    """Older runs recorded --devices, which is no more: one of one device is what it always was."""
    path = Path("run/config.json")
    config = json.loads(path.read_text())
    for devices in (1, 2):
        config["options"]["devices"] = devices
        path.write_text(json.dumps(config))
        if devices == 1:
            context = main.make_context("main", ["--resume", "run"])
            assert context.params["architecture"] == "conv" and "devices" not in context.params
        else:
            with pytest.raises(UsageError, match="has devices, which brainprop.main has not"):
                main.make_context("main", ["--resume", "run"])


def test_an_input_file_remembers_its_weights(here, capsys):
    """`main.py inputs -l` of the older interface finds nothing to evaluate."""
    text = "dataset = 'MNIST'\narchitecture = 'dense'\nsave_weights = True\nepochs = 1\n"
    Path("mine.py").write_text(text)
    start("mine", *QUICK, "--out", "run")
    assert (
        Path("mine.py").read_text() == text + "weights_file = 'digits_dense_BrainProp_weights.h5'\n"
    )
    capsys.readouterr()
    start("mine.py", *QUICK[:6], "-l")
    assert "Loading weights digits_dense_BrainProp_weights.h5" in capsys.readouterr().out
    package = inputs.find("inputs_MNIST")
    assert package is not None
    before = package.read_text()
    assert not inputs.note_weights(package, "x.h5") and package.read_text() == before
    with pytest.raises(UserError, match="no weights are saved yet"):
        start("inputs_MNIST", "-l")


def test_weights_of_keras_are_read_in_both_layouts(trained, capsys):
    """Foreign .h5 files: what the original wrote and what `save_weights` writes today."""
    h5py = pytest.importorskip("h5py")
    from brainprop.files import stored
    from brainprop.networks import make_network

    for algorithm in ("BrainProp", "EBP"):
        for architecture in ("conv", "dense", "loccon"):
            net = make_network(
                architecture, (9, 9, 1), 10, algorithm, seed=1, widths={32: 3, 500: 4}
            )
            net.save_weights("k3.weights.h5")
            other = make_network(
                architecture, (9, 9, 1), 10, algorithm, seed=2, widths={32: 3, 500: 4}
            )
            stored.load(other, stored.read(Path("k3.weights.h5")), Path("k3"))
            for a, b in zip(net.weights, other.weights, strict=True):
                np.testing.assert_array_equal(a, b)
    arrays = stored.read(Path("digits_conv_BrainProp_weights.h5")).arrays
    with h5py.File("theirs.h5", "w") as file:  # as tf-keras names things
        file.attrs["layer_names"] = (
            "conv2d batch_normalization conv2d_1 batch_normalization_1 flatten dense "
            "brain_prop_layer"
        ).split()
        left = list(arrays)
        for layer in file.attrs["layer_names"]:
            count = {"f": 0, "b": 4 if layer.startswith("batch") else 1}.get(layer[0], 1)
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/w{i}:0" for i in range(count)]
            for name in group.attrs["weight_names"]:
                group.create_dataset(name, data=left.pop(0))
    capsys.readouterr()
    for file in ("theirs.h5", "digits_conv_BrainProp_weights.h5"):
        start("MNIST", "conv", "BrainProp", *QUICK[:8], "-l", file)
    first, second = re.findall(r"loss: .*", capsys.readouterr().out)
    assert first == second


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("dense BrainProp -l digits_conv_BrainProp_weights.h5", "another architecture's"),
        ("conv BrainProp --width 0.5 -l digits_conv_BrainProp_weights.h5", "or --width"),
        ("conv BrainProp -l nowhere.h5", "there is no such file of weights"),
        ("conv BrainProp -l text.h5", "not a whole HDF5 file"),
        ("conv BrainProp -l linked.h5", "link to another file"),
        ("conv BrainProp -l empty.h5", "not of a Keras model's weights"),
    ],
)
def test_foreign_weights_are_one_line(words, part, trained):
    """A traceback of h5py, or weights of another network loaded halfway."""
    h5py = pytest.importorskip("h5py")
    Path("text.h5").write_text("no weights")
    with h5py.File("linked.h5", "w") as file:
        file["layers"] = h5py.ExternalLink("digits_conv_BrainProp_weights.h5", "/conv1")
    h5py.File("empty.h5", "w").close()
    with pytest.raises(UserError) as error:
        start(*words.split(), *QUICK[:2], *QUICK[4:6])
    assert part in str(error.value) and "\n" not in str(error.value)


def test_weights_whose_classes_are_numbered_otherwise_are_put_right(trained, capsys):
    """Defect (brainprop, D13): weights from another machine score at chance."""
    from brainprop.files import stored

    model = stored.read(Path("digits_conv_BrainProp_weights.h5"))
    ours = model.about["classes"]
    theirs = ours[::-1]
    mixed = model.arrays[:-1] + [model.arrays[-1][:, ::-1]]
    named = {f"x{i}.w": array for i, array in enumerate(mixed)}
    Path("order.txt").write_text("\n".join(f"{name} more words" for name in theirs))
    stored.write_h5(Path("silent.h5"), named, {"width": 0.2})
    stored.write_h5(Path("telling.h5"), named, {"width": 0.2, "classes": theirs})
    stored.write_h5(Path("strange.h5"), named, {"width": 0.2, "classes": [*theirs[1:], "newt"]})
    capsys.readouterr()
    for words in (
        ["digits_conv_BrainProp_weights.h5"],
        ["telling.h5"],
        ["silent.h5", "--classes", "order.txt"],
    ):
        start("MNIST", "conv", "BrainProp", *QUICK[:6], "-l", *words)
    printed = capsys.readouterr().out
    assert len(set(re.findall(r"loss: .*", printed))) == 1
    assert printed.count("numbered in another order") == 2
    with pytest.raises(UserError, match="classes are not the data set's"):
        start("MNIST", "conv", "BrainProp", *QUICK[:6], "-l", "strange.h5")


def test_the_name_of_tiny_imagenets_weights_has_two_spellings(here):
    """Defect (brainprop, D17): the README's TIN_ is TinyImageNet_ in the tree."""
    from brainprop.files import stored

    stored.write_h5(Path("TinyImageNet_BrainProp_weights.h5"), {"a.w": np.ones(2)}, {})
    assert len(stored.read(Path("TIN_BrainProp_weights.h5")).arrays) == 1


# -- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["BrainProp", "EBP"])
@pytest.mark.parametrize("architecture", ["dense", "conv", "loccon", "deep"])
def test_every_architecture_trains_on_digits(architecture, algorithm, here):
    """A pair that does not run, or steps that change nothing."""
    start(
        architecture,
        algorithm,
        "--data",
        "digits",
        "--limit-train",
        64,
        "--limit-test",
        32,
        "--width",
        0.05,
        "--batch-size",
        32,
        "--quiet",
        "--epochs",
        1,
        "--std",
        0.1,
        "--audit",
        "--out",
        "run",
    )
    lines = metrics(Path("run"))
    assert lines[-1]["kind"] == "epoch" and np.isfinite(lines[-1]["train_loss"])
    credit = [line for line in lines if line["kind"] == "audit"][0]["credit"]
    assert "out1" in credit
    if algorithm == "EBP":
        assert all(layer["angle"] < 0.1 for layer in credit.values())


def test_a_net_learns_digits_by_reward_alone(here):
    """Everything runs and nothing is learnt."""
    start(
        "MNIST",
        "conv",
        "BrainProp",
        "--data",
        "digits",
        "--width",
        0.25,
        "--batch-size",
        32,
        "--quiet",
        "--epochs",
        14,
        "--val-split",
        0.1,
        "--std",
        0.02,
        "--out",
        "run",
    )
    lines = metrics(Path("run"))
    assert lines[-1]["test_accuracy"] > 85 and lines[-1]["val_accuracy"] > 85
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["best"]["metric"] == "val_accuracy"


def test_the_stored_model_is_what_its_metadata_say():
    """The file in the repository is another network than its header tells."""
    from brainprop.evaluate import STORED
    from brainprop.files.stored import read

    model = read(STORED)
    assert sum(array.size for array in model.arrays) == model.about["parameters"]
    assert STORED.stat().st_size < 3 << 20 and float(model.about["test_accuracy"]) > 98
    assert model.about["classes"] == [str(digit) for digit in range(10)]


@pytest.mark.data
def test_the_stored_model_has_the_accuracy_that_it_states(data_root, capsys):
    """Weights that were stored in another order, or from another epoch."""
    pytest.importorskip("tensorflow")
    from brainprop.evaluate import main as evaluate

    evaluate.main(["--data-dir", data_root, "--no-download"], standalone_mode=False)
    about, line = capsys.readouterr().out.splitlines()[-2:]
    assert f"mnist: test accuracy {json.loads(about)['test_accuracy']} %" in line
