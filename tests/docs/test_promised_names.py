"""Every file that the originals' pages told their users to run is here under that name."""

import subprocess
from pathlib import Path

import pytest

from common.errors import UsageError
from tests.docs.pages import ROOT
from tests.helpers.processes import run_script

# Section 2 of every docs/papers/PAPER.md, and of S3Net's parts.
PROMISED = {
    "asap": ("requirements.txt", "environment_asap.yaml", "train.py", "eval.py"),
    "brainprop": (
        *(
            "Requirements.txt",
            "requirements.txt",
            "main.py",
            "tinyimagenet.py",
            "eval.py",
            "train.py",
        ),
        *(f"inputs_{name}.py" for name in ("MNIST", "C10", "C100", "TIN")),
        *(f"inputs_loccon_{name}.py" for name in ("MNIST", "C10", "C100")),
    ),
    "burstprop": ("train_mnist.py", "train_cifar10.py", "train_imagenet.py", "mnist_demo.ipynb"),
    "lra_e": tuple(
        f"{data}/{data}{suffix}.py"
        for data in ("mnist", "fmnist")
        for suffix in ("", "_newTF", "_torch")
    ),
    "s3net": (
        "expressibility/topology_NTK_comparison.ipynb",
        *(f"cifar100/{name}.py" for name in ("train_S3Net", "optim", "s3model")),
        *(
            f"tinyimagenet/Tiny_{name}.py"
            for name in "EfficientNet GhostNet LambdaNet MobileNetV2 OctResNet RandomlyWired S3Net "
            "SEResNet ScaleNet".split()
        ),
        "tinyimagenet/config_regular_c109_n32.yaml",
        *(f"imagenet/{name}.py" for name in ("train", "validate_10crop", "folder2lmdb")),
        *(
            f"interpretability/{name}.py"
            for name in ("Interpret_fullgradient", "Plot_segmentation_map")
        ),
    ),
}


@pytest.mark.parametrize(
    ("paper", "name"), [(p, name) for p, names in PROMISED.items() for name in names]
)
def test_a_promised_file_is_there(paper: str, name: str) -> None:
    """Somebody follows the original's page and finds no such file."""
    assert (ROOT / paper / name).is_file()


def run(folder: str, *words: str) -> subprocess.CompletedProcess:
    """As the pages have it: in the paper's folder, by the file's name."""
    return run_script(*words, cwd=ROOT / folder)


def test_brainprops_eval_py_tests_the_network_that_the_seeds_command_names() -> None:
    """`python eval.py --model-file mymodel.pth --benchmark imagenet`, with what there is."""
    pytest.importorskip("tensorflow")
    done = run(
        *("brainprop", "eval.py", "--model-file", "model.safetensors", "--benchmark", "digits"),
        *("--limit-test", "90"),
    )
    assert done.returncode == 0, done.stderr
    assert "digits: test accuracy" in done.stdout and "(90 images)" in done.stdout


def test_brainprops_eval_py_names_what_it_does_not_have() -> None:
    """The seed's own words: a placeholder for a data set that no network here was trained on."""
    done = run("brainprop", "eval.py", "--model-file", "mymodel.pth", "--benchmark", "imagenet")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "imagenet" in done.stderr and "tiny_imagenet" in done.stderr
    both = run("brainprop", "eval.py", "a.h5", "--model-file", "b.h5")
    assert both.returncode == 2 and "--model-file (=b.h5)" in both.stderr


def test_brainprops_train_py_takes_a_folder_a_name_or_an_input_file(tmp_path: Path, capsys) -> None:
    """`python train.py --input-data <path> --alpha 10 --beta 20`."""
    from brainprop.train import translated

    folder = str(tmp_path)
    assert translated(["--input-data", folder, "--alpha", "10", "--beta=20", "--epochs", "1"]) == (
        ["--data-dir", folder, "--epochs", "1"]
    )
    printed = capsys.readouterr().err
    assert printed.count("\n") == 2 and "--alpha" in printed and "--beta" in printed
    assert translated(["--input-data", "digits"]) == ["--data", "digits"]
    assert translated(["--input-data=inputs_MNIST.py"]) == ["inputs_MNIST.py"]


def test_brainprops_train_py_trains(tmp_path: Path) -> None:
    """A name that only prints its help."""
    pytest.importorskip("tensorflow")
    words = ("--input-data", "digits", "--alpha", "10", "--limit-train", "64", "--epochs", "1")
    more = ("--width", "0.1", "--quiet", "--out", str(tmp_path / "run"))
    done = run("brainprop", "train.py", *words, *more)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "summary.json").is_file()
    with pytest.raises(UsageError):
        from brainprop.main import main

        main.main(["--input-data", "digits"], standalone_mode=False)  # train.py's word, not main's


def test_asaps_environment_installs_its_requirements() -> None:
    """`conda env create -f environment_asap.yaml`; conda runs pip in the file's folder."""
    yaml = pytest.importorskip("yaml")
    environment = yaml.safe_load(
        (ROOT / "asap" / "environment_asap.yaml").read_text(encoding="utf-8")
    )
    assert environment["name"] == "asap"
    assert {"pip": ["-r requirements.txt"]} in environment["dependencies"]
