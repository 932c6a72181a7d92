"""`--resume DIR`: where the values come from, and what may be changed on the way."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.cli import Options, argument, command, option
from common.cli.params import choice, layers, positive
from common.cli.switches import switch, switch_options
from common.cli.training_options import TrainingOptions, training_options
from common.errors import UsageError


@dataclass(frozen=True)
class Fidelity:
    transposed: bool = switch(corrected=False, original=True, defect="1", effect="E", evidence="e")
    reduction: str = switch(
        corrected="mean",
        original="sum",
        defect="2",
        effect="s",
        evidence="e",
        choices=("mean", "sum"),
    )


@training_options(dataset="mnist", datasets=("mnist", "cifar10"), epochs=10, resume_file=True)
class MainOptions(TrainingOptions):
    """What `main` takes."""

    problem: str | None = argument(type=choice("mnist", "cifar10"), same_as="dataset")
    directory: Path | None = argument(same_as="out")
    beta: float = option(type=positive, default=0.1)
    layers: list[int] = option(type=layers, default=[784, 10])
    aug: bool = option(is_flag=True)
    note: str = option(default="", numbers=False)
    switches: Fidelity = switch_options(Fidelity)


@command(MainOptions, paper="p", name="main")
def main(options: MainOptions) -> Options:
    """A script with positionals, switches and options of all kinds."""
    return options


@training_options(epochs=10, epochs_alter_numbers=True)
class ScheduledOptions(TrainingOptions):
    """What `scheduled` takes."""


@command(ScheduledOptions, paper="p", name="scheduled")
def scheduled(options: ScheduledOptions) -> Options:
    """A script whose learning rate depends on the number of epochs."""
    return options


def run(*words: object, script=main) -> Any:
    return script.main([str(word) for word in words], standalone_mode=False)


def refused(*words: object, script=main) -> str:
    with pytest.raises(UsageError) as error:
        run(*words, script=script)
    return str(error.value)


def record(directory: Path, options: Options) -> None:
    directory.mkdir(exist_ok=True)
    config = {
        "script": options.call.script,
        "paper": options.call.paper,
        "options": options.record(),
    }
    (directory / "config.json").write_text(json.dumps(config))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The run of `CIFAR10 <old> --beta 0.5 --layers 9,8 --aug --transposed ...`."""
    directory = tmp_path / "old"
    words = "--beta 0.5 --layers 9,8 --aug --transposed --seed 3 --data-dir d --audit-every 4"
    record(directory, run("CIFAR10", directory, *words.split()))
    return directory


def test_resume_alone_restores_every_value(old: Path, monkeypatch) -> None:
    """A default, or the environment, replaces what the run was started with."""
    monkeypatch.setenv("CREDITLAB_DATA", "elsewhere")
    options = run("--resume", old)
    assert (options.problem, options.dataset, options.directory) == ("cifar10", "cifar10", old)
    assert (options.beta, options.layers, options.aug, options.seed) == (0.5, [9, 8], True, 3)
    assert (str(options.data_dir), options.audit, options.audit_every) == ("d", True, 4)
    assert options.switches == Fidelity(transposed=True)
    assert (options.out, options.resume) == (old, old)
    assert options.call.typed == {"resume"}
    assert options.call.changes == {}
    assert options.record() == json.loads((old / "config.json").read_text())["options"]


def test_a_moved_run_goes_on_where_it_is_now(old: Path, tmp_path: Path) -> None:
    """The resumed run writes into the folder that it was moved away from."""
    moved = old.rename(tmp_path / "moved")
    options = run("--resume", moved)
    assert options.out == options.directory == moved


@pytest.mark.parametrize(
    ("words", "shown", "before", "name"),
    [
        ("--bet 0.6", "option --beta (=0.6)", "0.5", "beta"),
        ("--layers 9,7", "option --layers (=[9, 7])", "[9, 8]", "layers"),
        ("--seed 4", "option --seed (=4)", "3", "seed"),
        ("--data digits", "option --data (=digits)", "cifar10", "dataset"),
        ("MNIST", "argument PROBLEM (=mnist)", "cifar10", "dataset"),
        ("--compat original", "option --compat (=original)", "corrected", "compat"),
        ("--no-transposed", "option --no-transposed (=False)", "True", "transposed"),
        ("--limit-train 5", "option --limit-train (=5)", "None", "limit-train"),
    ],
)
def test_a_change_of_the_numbers_needs_its_name(old, words, shown, before, name) -> None:
    """Half a run is trained with other numbers and reported as one."""
    message = refused("--resume", old, *words.split())
    assert message.startswith(f"{shown} is {before} in the resumed run")
    assert f"add --allow-change {name} if" in message
    changed = run("--resume", old, "--allow-change", name, *words.split()).call.changes
    assert list(changed) == [name.replace("-", "_")]
    other = "layers" if name == "beta" else "beta"
    assert f"add --allow-change {name} if" in refused(
        "--resume", old, "--allow-change", other, *words.split()
    )


def test_changes_without_effect_on_the_numbers_are_free(old: Path) -> None:
    """More epochs, another device or another data folder are refused."""
    words = "--epochs 20 --device cpu --threads 2 --data-dir e --note n --quiet --no-audit"
    options = run("--resume", old, "--beta", "0.5", *words.split())
    assert options.call.changes["epochs"] == (10, 20)
    assert (options.beta, options.note, str(options.data_dir)) == (0.5, "n", "e")
    assert (options.audit, options.audit_every) == (False, None)


def test_epochs_are_a_change_where_a_schedule_depends_on_them(tmp_path: Path) -> None:
    """A cosine schedule is stretched in the middle of a run."""
    record(tmp_path, run(script=scheduled))
    line = ("--resume", tmp_path, "--epochs", "11")
    assert "--allow-change epochs" in refused(*line, script=scheduled)
    assert run(*line, "--allow-change", "epochs", script=scheduled).epochs == 11


def test_an_allowed_preset_moves_the_switches_that_were_not_set_by_hand(tmp_path: Path) -> None:
    """`--compat original` is recorded while the corrected switches stay in force."""
    record(tmp_path, run("mnist", tmp_path, "--reduction", "sum", "--transposed"))
    line = ("--resume", tmp_path, "--compat", "original", "--allow-change", "compat")
    assert run(*line).switches == Fidelity(transposed=True, reduction="sum")
    record(tmp_path, run("mnist", tmp_path))
    assert run(*line).switches == Fidelity(transposed=True, reduction="sum")
    record(tmp_path, run("mnist", tmp_path, "--compat", "original", "--reduction", "mean"))
    line = ("--resume", tmp_path, "--compat", "corrected", "--allow-change", "compat")
    assert run(*line).switches == Fidelity(transposed=False, reduction="mean")


def test_allow_change_must_name_an_option(old: Path) -> None:
    """A misspelt name allows nothing, or everything."""
    message = refused("--resume", old, "--allow-change", "betta")
    assert message.startswith("option --allow-change (=betta) must be one of ")
    assert message.endswith("did you mean beta?")
    assert "goes with --resume" in refused("mnist", "X", "--allow-change", "beta")
    for name in ("beta", "--beta"):
        assert run("--resume", old, f"--allow-change={name}", "--beta=1").beta == 1


def test_a_run_cannot_go_on_in_another_directory(old: Path) -> None:
    """Checkpoints of one run and metrics of another lie in one folder."""
    assert "argument DIRECTORY (=Y) must be left out" in refused("cifar10", "Y", "--resume", old)
    assert "option --out (=Y) must be left out" in refused("--resume", old, "--out", "Y")
    assert run("cifar10", old, "--resume", old, "--out", f"{old}/").out == old


def test_a_folder_that_is_no_run_of_this_script_is_one_clear_line(old: Path, tmp_path) -> None:
    """A KeyError, or another script's values."""
    assert "must be the directory of a run" in refused("--resume", tmp_path / "none")
    assert refused("--resume", tmp_path).endswith("holds no run: it has no config.json")
    config = json.loads((old / "config.json").read_text())
    for text, message in [
        ("{", "is no record of a run"),
        ("[]", "is no record of a run"),
        (json.dumps({**config, "script": "q.other"}), "is a run of q.other, not of"),
        (json.dumps({**config, "options": {"gamma": 1}}), "has gamma, which"),
    ]:
        (old / "config.json").write_text(text)
        assert message in refused("--resume", old)


OTHERS: tuple[Any, ...] = (
    [],
    {},
    "x",
    "",
    -1,
    1.5,
    None,
    True,
    [[]],
    ["a"],
    {"a": None},
    10**400,
    math.inf,
)


def test_every_edit_of_a_recorded_option_is_one_line_or_a_value_of_its_type(old: Path) -> None:
    """`AttributeError: 'list' object has no attribute 'strip'`; null for a default in silence."""
    config = json.loads((old / "config.json").read_text())
    whole = config["options"]
    for name, before in whole.items():
        if name in ("resume", "allow_change"):  # never taken from the record
            continue
        for value in OTHERS:
            config["options"] = whole | {name: value}
            (old / "config.json").write_text(json.dumps(config))
            try:
                run("--resume", old)
            except UsageError as error:
                assert "config.json" in str(error) or name in str(error), error
                assert "\n" not in str(error)
                continue
            numbers = (int, float)
            if name == "device":  # a GPU's number is one too
                assert str(value).isdecimal() and len(str(value)) < 5
                continue
            alike = {bool: (bool,), str: (str,), list: (list,), int: numbers, float: numbers}
            assert value is None or isinstance(value, alike.get(type(before), object)), name
            assert value is not None or before is None or name in OPTIONAL, (name, before)


OPTIONAL = {
    "problem",
    "directory",
    "out",
    "limit_train",
    "limit_test",
    "threads",
    "audit_every",
    "checkpoint_every",
    "quiet",
    "no_download",
    "deterministic",
    "audit",
    "aug",
    "transposed",
    "reduction",
    "data_dir",
}


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("beta", "0.5", 'options.beta (="0.5") must be a finite number'),
        ("beta", None, "options.beta (=null) must be a finite number"),
        ("seed", 3.5, "options.seed (=3.5) must be a whole number"),
        ("layers", "9,8", 'options.layers (="9,8") must be a list'),
        ("aug", 1, "options.aug (=1) must be true or false"),
        ("dataset", 3, "options.dataset (=3) must be a text"),
        ("data_dir", [], "options.data_dir (=[]) must be a text"),
    ],
)
def test_a_recorded_value_of_another_type_names_file_and_key(old: Path, name, value, part) -> None:
    """A learning rate that was a text, and is a text."""
    config = json.loads((old / "config.json").read_text())
    config["options"][name] = value
    (old / "config.json").write_text(json.dumps(config))
    message = refused("--resume", old)
    assert f"{old / 'config.json'}: " in message or "config.json is no record" in message
    assert part in message


def test_a_wrong_value_in_the_record_is_told_with_its_file(old: Path) -> None:
    """The person searches a command line that is right."""
    config = json.loads((old / "config.json").read_text())
    config["options"]["beta"] = -2
    (old / "config.json").write_text(json.dumps(config))
    message = refused("--resume", old)
    assert message == f"option --beta (=-2 in {old / 'config.json'}) must be > 0"


def test_an_originals_checkpoint_file_is_passed_through(tmp_path: Path) -> None:
    """`--resume checkpoint.pth.tar` is taken for a run directory."""
    file = tmp_path / "checkpoint.pth.tar"
    file.write_text("")
    options = run("mnist", tmp_path, "--resume", file)
    assert (options.resume, options.out, options.beta) == (file, tmp_path, 0.1)
    assert options.record()["resume"] == str(file)
    assert run("mnist", tmp_path, "--resume=").resume is None
    assert "must be the directory" in refused("--resume", file, script=scheduled)
