"""A disk that is full: one line that names the file, exit code 1, never a traceback or success.

/dev/full takes no byte; a small tmpfs, where this user may mount one, fills up in the middle."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.errors import UserError
from common.files import writing
from tests.helpers.processes import run_script

ROOT = Path(__file__).resolve().parents[2]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.is_char_device(), reason="this system has no /dev/full")


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A device like /dev/full, of this test's own where this user may make one (root, who could
    rename the system's away); else /dev/full itself."""
    own = tmp_path / "full"
    try:
        os.mknod(own, stat.S_IFCHR | 0o666, os.makedev(1, 7))
        own.open("w").close()
    except OSError:
        return FULL
    return own


def start(module: str, *words: object, cwd: Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of a command, as its user sees it."""
    done = run_script(module, *words, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def call(capsys, monkeypatch, tmp_path) -> Callable[..., tuple[int, str, str]]:
    """As `start`, in this process."""

    def called(module: str, *words: object) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as stop:
            import_module(module).main.main([str(word) for word in words])
        printed = capsys.readouterr()
        return int(stop.value.code or 0), printed.out, printed.err

    return called


def is_one_line(result: tuple[int, str, str], *parts: str, why: str = "No space left") -> None:
    code, out, err = result
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert code == 1 and len(lines) == 1, (code, err)
    assert "Traceback" not in err and why in lines[0], err
    for part in parts:
        assert part in lines[0], (part, lines[0])


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """small("64k"): a folder on a disk of that size."""
    mounted = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk-{size}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user may not mount a small tmpfs, so no disk can be filled")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Path]:
    """A run of each paper whose figures are drawn here: records as the programs write them."""
    commands = {}
    papers: dict[str, dict[str, Any]] = {
        "asap": {"model": "convnet", "feedback": "fa", "feedback_init": "uniform"},
        "burstprop": {"weight_fa_learning": True, "recurrent_input": False},
        "brainprop": {"architecture": "dense", "width": 1.0, "feedback": "shared"},
    }
    angle = {"cosine": 0.5, "angle": 60.0, "too_small": False}
    for paper, options in papers.items():
        folder = commands[paper] = tmp_path / paper
        folder.mkdir()
        config = {"paper": paper, "script": f"{paper}.main", "name": "n", "creditlab": "0"}
        shared = {"dataset": "mnist", "seed": 1, "rule": paper}
        (folder / "config.json").write_text(json.dumps(config | {"options": shared | options}))
        lines = []
        for i in (1, 2):
            epoch = {"kind": "epoch", "epoch": i, "step": i, "test_accuracy": 90.0 + i}
            epoch |= {"weight_angle/0": 40.0, "delta_angle/0": 30.0}
            lines += [
                epoch,
                {
                    "kind": "audit",
                    "epoch": i,
                    "step": i,
                    "credit": {"a": angle},
                    "feedback": {"a": angle},
                },
            ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return commands


FIGURES = [
    ("common.curves", "asap"),
    ("asap.alignment", "asap"),
    ("burstprop.fig5", "burstprop"),
    ("common.report", "asap"),
]


@needs_full
@pytest.mark.parametrize(("module", "paper"), FIGURES)
def test_a_figure_or_page_that_nobody_took_is_not_called_written(module, paper, runs, call, full):
    """`common.curves --out /dev/full` says success."""
    code, out, err = result = call(module, runs[paper], "--out", full)
    is_one_line(result, f"{full}: cannot be written")
    assert out == "" and full.is_char_device(), "a file has taken the device's place"


@pytest.mark.parametrize(("module", "paper"), [*FIGURES, ("brainprop.curves", "brainprop")])
def test_a_figure_on_a_disk_that_fills_up_leaves_no_half_of_it(module, paper, runs, small, call):
    """Half a PNG under the name of a figure."""
    disk = small("4k")
    (disk / "filler").write_bytes(b"x" * 4000)
    out = disk if module == "brainprop.curves" else disk / "figure.png"
    is_one_line(call(module, runs[paper], "--out", out), str(disk))
    assert sorted(p.name for p in disk.iterdir()) == ["filler"]


@pytest.mark.parametrize(
    ("module", "paper"),
    [
        ("burstprop.fig5", "asap"),
        ("asap.alignment", "burstprop"),
        ("burstprop.fig5", "brainprop"),
        ("asap.alignment", "brainprop"),
        ("brainprop.curves", "asap"),
    ],
)
def test_another_papers_run_is_named(module, paper, runs, call, tmp_path):
    """`KeyError: 'weight_fa_learning'`."""
    code, _, err = call(module, runs[paper], "--out", tmp_path / "f.png")
    assert code == 1 and err.count("\n") == 1 and str(runs[paper]) in err
    assert f"a run of {paper}, not of" in err or "not a run of brainprop.main" in err
    assert not (tmp_path / "f.png").exists()


def test_a_run_that_lacks_an_option_of_its_figure_is_named(runs, call):
    """A run of another program of the same paper (train_imagenet has no recurrent input)."""
    path = runs["burstprop"] / "config.json"
    config = json.loads(path.read_text())
    del config["options"]["recurrent_input"]
    path.write_text(json.dumps(config))
    code, _, err = call("burstprop.fig5", runs["burstprop"])
    assert code == 1 and err == f"error: {path}: options.recurrent_input is missing\n"


TRAINERS = {
    "burstprop.train_imagenet": [
        "{out}",
        "--data",
        "digits",
        "--limit-train",
        8,
        "--limit-test",
        8,
        "-batch_size",
        4,
        "--width",
        0.1,
        "--workers",
        0,
    ],
    "burstprop.train_mnist": [
        "{out}",
        "--data",
        "digits",
        "--limit-train",
        20,
        "--limit-test",
        8,
        "-batch_size",
        10,
        "--epochs",
        1,
    ],
    "lra_e.mnist.mnist_torch": [
        "--out",
        "{out}",
        "--data",
        "digits",
        "--limit-train",
        100,
        "--epochs",
        1,
    ],
}


@pytest.mark.parametrize(
    ("script", "size"),
    [
        ("burstprop.train_imagenet", 40),  # while its own files are written
        ("burstprop.train_mnist", 8),
        ("lra_e.mnist.mnist_torch", 400),
    ],
)
def test_training_on_a_disk_that_fills_up_is_one_line(script, size, small, tmp_path):
    """`RuntimeError: PytorchStreamWriter failed writing file`, twenty lines deep."""
    pytest.importorskip("torch")
    disk = small(f"{size}k")
    words = [str(word).format(out=disk / "run") for word in TRAINERS[script]]
    result = start(script, *words, "--threads", 1, "--quiet", cwd=tmp_path)
    is_one_line(result, str(disk / "run"))
    half = [p.name for p in disk.rglob("*") if p.is_file() and ".writing" in str(p)]
    assert not half


def test_images_that_do_not_fit_into_an_lmdb_are_one_line(small, tmp_path):
    """lmdb.DiskError out of a converter that ran for an hour."""
    pytest.importorskip("lmdb", reason="the package of the format")
    random = np.random.default_rng(0)
    for i in range(12):
        path = tmp_path / "images" / f"n0{i % 3}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (60, 60, 3), np.uint8)).save(path)
    for size in (4, 60):
        disk = small(f"{size}k")
        words = ["-d", tmp_path / "images", "-o", disk / "train.lmdb", "--quiet"]
        result = start("s3net.imagenet.folder2lmdb", *words, "--commit-every", 2, cwd=tmp_path)
        # A page that went half onto the disk is lmdb's "Input/output error".
        is_one_line(result, str(disk / "train.lmdb"), why="cannot be written")


@needs_full
@pytest.mark.parametrize(
    "write",
    [
        lambda path: writing.write_text(path, "a"),
        lambda path: writing.write_bytes(path, b"a"),
        lambda path: writing.write_json(path, {}),
        lambda path: writing.write_table(path, [["a"]]),
    ],
)
def test_every_writer_names_a_full_device_and_leaves_it_alone(write, full):
    """/dev/full renamed away by root, and success."""
    with pytest.raises(UserError, match="full: cannot be written .No space left"):
        write(full)
    assert full.is_char_device()


@needs_full
def test_torch_files_name_a_full_device(full):
    """torch calls a full disk a RuntimeError, safetensors an error of its own."""
    torch = pytest.importorskip("torch")
    from common.backends.torch_files import write_pth, write_safetensors

    state = {"a": torch.zeros(10**5)}
    for write in (lambda: write_pth(full, state), lambda: write_safetensors(full, state, {})):
        with pytest.raises(UserError, match="full: cannot be written"):
            write()
        assert full.is_char_device()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    """The old file gone and the new one not there."""
    path = tmp_path / "sub" / "file"
    writing.write_text(path, "old")
    with pytest.raises(UserError, match="file: cannot be written"):
        with writing.whole(path) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")
    with pytest.raises(KeyError), writing.whole(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old" and [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_link_is_written_through(tmp_path):
    """--out /dev/stdout: a link to a file, which a rename would replace."""
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to("file")
    writing.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"


def test_a_figures_ending_is_one_that_can_be_drawn(runs, call, tmp_path):
    """`ValueError: Format 'jp' is not supported`."""
    code, _, err = call("common.curves", runs["asap"], "--out", tmp_path / "f.doc")
    assert code == 2 and err.count("\n") == 1 and "f.doc" in err and ".png" in err


@needs_full
@pytest.mark.parametrize("words", [["common.curves", "--help"], ["common.targets", "tables"]])
def test_what_is_said_to_a_full_device_is_not_said(words, tmp_path):
    """Exit code 0, or 120 and two lines of Python's own."""
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
        )
    if words[0] == "common.curves":
        assert done.returncode == 1 and done.stderr.count("\n") == 1
        assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
