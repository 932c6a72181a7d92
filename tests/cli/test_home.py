"""`~` is the home wherever a path is taken: options, positionals, variables, library calls."""

import importlib
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from common.cli import Command
from common.cli.params import FilePath
from common.errors import UserError
from common.files import paper_folders
from common.files.paths import data_root, home
from tests.datasets.test_idx import written
from tests.datasets.test_images import write_folder, write_tiny

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", *(path.name for path in paper_folders.folders()), "benchmarks")
COMMANDS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if '__name__ == "__main__"' in path.read_text()
)
# Parameters that are text and no paths, and those whose paths a test below follows.
TEXT = set(
    "allow_change device net rule info only title row seeds depths arch dist_url dice_percentiles "
    "wirings".split()
)
FOLLOWED = {"words", "run", "which", "models"}


@pytest.fixture(autouse=True)
def somebodys(tmp_path: Path, monkeypatch) -> Path:
    """A home with data in it; the current folder is another one."""
    (tmp_path / "me").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "me"


def test_home_is_only_the_beginning_and_a_stranger_is_left_alone(somebodys: Path):
    """pathlib raises a RuntimeError, without a name, for a user that there is not."""
    assert home("~") == somebodys and home("~/a") == somebodys / "a" == home(Path("~/a"))
    for other in ("a/~/b", "~nobody-of-that-name/a", "a~", ""):
        assert home(other) == Path(other)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_that_is_a_path_expands_it(name: str, somebodys: Path):
    """Whoever adds an option for a path must give it the type, or a test of its own."""
    module = importlib.import_module(name)
    commands = [each for each in vars(module).values() if isinstance(each, Command)]
    for param in (param for command in commands for param in command.params):
        if isinstance(param.type, FilePath) and not param.type.exists:
            assert param.type.convert("~/x/y", param, None) == somebodys / "x/y"
        elif isinstance(param.type, click.types.StringParamType):
            assert param.name in TEXT | FOLLOWED, f"{name}: is {param.name} a path?"


def test_the_variable_of_the_data_root(somebodys: Path, monkeypatch):
    """`export CREDITLAB_DATA="~/data"`: the quotes keep the shell from it."""
    from common.data.datasets import load

    written(somebodys / "data")
    for word in ("~/data", str(somebodys / "data")):
        monkeypatch.setenv("CREDITLAB_DATA", word)
        assert len(load("mnist", download=False).train) == 12
        assert data_root() == somebodys / "data"
    assert len(load("mnist", "~/data", download=False).test) == 6


def test_every_reader_of_images_takes_it(somebodys: Path):
    """Library calls get what their user typed."""
    from common.data.image_folder import ImageFolder, one_half
    from common.data.pixels import decode
    from common.data.tiny_imagenet import inventory, locate

    write_folder(somebodys / "pictures")
    assert len(ImageFolder("~/pictures").train) == 6
    assert len(one_half(Path("~/pictures/val"))[0]) == 2
    assert decode("~/pictures/val/n1/a.png").shape == (4, 6, 3)
    folder = write_tiny(somebodys)
    assert locate(Path("~"), False) == folder
    assert len(inventory(Path("~") / folder.name)[1]) == 6


def test_runs_and_pages_take_it(somebodys: Path, capsys):
    """`report ~/runs/a`, `targets collect ~/runs`, and their functions."""
    from common.reports.compare import main as report
    from common.reports.targets import main as targets
    from common.runs.checkpoint import of_run
    from common.runs.read_back import read_run

    shutil.copytree(ROOT / "s3net/results/tiny10_s3net/seed-1", somebodys / "run")
    assert read_run("~/run").dataset == "tiny_imagenet_10"
    report(["~/run", "--out", "~/pages/a.html"], standalone_mode=False)
    assert (somebodys / "pages/a.html").is_file()
    assert not Path("~").exists()
    with pytest.raises(UserError, match=f"^{somebodys / 'no'}: no such folder of runs"):
        targets(["collect", "~/no"], standalone_mode=False)
    with pytest.raises(UserError, match=f"^{somebodys / 'run/checkpoints/best'}: no checkpoint"):
        of_run(Path("~/run"))


def test_files_of_weights_take_it(somebodys: Path):
    """Written there and read back, not into a folder that is called ~."""
    pytest.importorskip("h5py")
    from brainprop.files import stored
    from lra_e.stored import export, read

    weights = {"W1": np.ones((3, 2), np.float32)}
    export(weights, {}, Path("~/lra/net.safetensors"))
    assert "W1" in read(Path("~/lra/net.safetensors"))[0]
    for name in ("net.h5", "net.safetensors"):
        write = stored.write_h5 if name.endswith("h5") else stored.write_safetensors
        write(Path("~/lra") / name, {"out1.kernel": weights["W1"]}, {})
        assert stored.read(Path("~/lra") / name).verified
    assert not Path("~").exists()


def test_torch_files_of_weights_take_it(somebodys: Path):
    """The same for the papers in torch."""
    torch = pytest.importorskip("torch")
    from common.backends.torch_files import read_pth, read_safetensors, write_pth, write_safetensors

    write_pth(Path("~/nets/a.pth"), {"W": torch.ones(2)})
    write_safetensors(Path("~/nets/a.safetensors"), {"W": torch.ones(2)}, {})
    assert "W" in read_pth(Path("~/nets/a.pth"))
    assert "W" in read_safetensors(Path("~/nets/a.safetensors"), "about")[0]
    for name in ("asap", "burstprop", "s3net"):
        read = importlib.import_module(f"{name}.stored").read
        with pytest.raises(UserError, match=f"^{somebodys / 'nets/none'}: there is no such file"):
            read(Path("~/nets/none"))
    assert not Path("~").exists()


def test_a_model_by_name_and_file_takes_it(somebodys: Path):
    """`--model s3net_small=~/net.safetensors`: no shell expands what follows a sign."""
    pytest.importorskip("torch")
    from s3net.interpretability.study import files, open_model

    shutil.copy(ROOT / "s3net/weights/s3net_small.safetensors", somebodys / "net.safetensors")
    assert open_model("s3net_small=~/net.safetensors", None).name == "s3net_small"
    Image.new("RGB", (4, 4)).save(somebodys / "a.png")
    (somebodys / "._a.png").write_bytes(b"\0")
    assert files(Path("~")) == [somebodys / "a.png"]


def test_brainprops_input_files_take_it(somebodys: Path):
    """As a word of main, and as the weights that a file names."""
    from brainprop.files.inputs import find, read

    (somebodys / "mine.py").write_text("dataset = 'MNIST'\narchitecture = 'dense'\n")
    options = find("~/mine")
    assert options is not None and read(options)["dataset"] == "MNIST"


def test_an_archive_is_extracted_there(somebodys: Path):
    """`--out=~/data` made a folder of that name, in the current one."""
    import zipfile

    from brainprop.tinyimagenet import extract

    folder = write_tiny(somebodys / "made")
    with zipfile.ZipFile(somebodys / "tiny.zip", "w") as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(path, path.relative_to(folder.parent))
    message = extract(Path("~/tiny.zip"), Path("~/out"))
    assert message.startswith(f"{somebodys / 'out' / folder.name} is extracted: 3 classes")
    assert not Path("~").exists()
