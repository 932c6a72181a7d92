"""A run's files edited, cut or missing: one line that names file and key, and nothing touched."""

import copy
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError, UserError
from common.files import documents
from common.files.documents import CONFIG, ENVIRONMENT, NUMBER, SUMMARY
from common.reports.grouping import group
from common.runs import directory, environment
from common.runs.read_back import read_run
from tests.helpers.records import left_by
from tests.runs.toy_numpy import Killed, death, train

ROOT = Path(__file__).resolve().parents[2]
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
    {"a": None},
    10**30,
    math.inf,
)


@pytest.fixture(autouse=True, scope="module")
def quick():
    """git and the packages are not asked for a hundred times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "_git", lambda: {"git_commit": None, "git_dirty": None})
        patch.setattr(environment, "_installed", lambda name: "1")
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A run that was killed in its second epoch, resumed, and killed in its third; audited."""
    folder = tmp_path_factory.mktemp("made") / "run"
    for resume, step in ((False, 8), (True, 5)):
        with pytest.MonkeyPatch.context() as patch:
            with pytest.raises(Killed), death(patch, "step", step):
                train(folder, resume=resume, audit_every=2)
    return folder


@pytest.fixture
def run(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "run", symlinks=True)


def held(folder: Path) -> dict[Path, bytes]:
    """Every file of a run; its lock is no part of the record."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {p: p.read_bytes() for p in files}


def refused(folder: Path, *parts: str) -> str:
    """The line with which a resume is refused; nothing in the folder has changed."""
    before = held(folder)
    with pytest.raises(UserError) as caught:
        train(folder, resume=True, audit_every=2)
    assert held(folder) == before
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


# -- a resume needs a checkpoint ----------------------------------------------------------------


def test_a_run_without_checkpoints_is_not_resumed(run):
    """The record of a finished run, kept without its checkpoints, is emptied: 201 lines to 1."""
    shutil.rmtree(run / "checkpoints")
    (run / ".lock").unlink(missing_ok=True)
    message = refused(run, str(run), "no checkpoint")
    assert "resume" in message and not (run / ".lock").exists()


def test_the_stored_results_of_the_papers_are_not_resumed(tmp_path):
    """`--resume asap/results/...` starts that run anew, over its record."""
    for number, config in enumerate(sorted(ROOT.glob("*/results/*/seed-*/config.json"))[::9]):
        refused(shutil.copytree(config.parent, tmp_path / str(number)), "no checkpoint")


def test_a_run_killed_before_its_first_checkpoint_starts_afresh_with_the_same_command(
    tmp_path, monkeypatch
):
    """A run that can be neither resumed nor started again."""
    folder = tmp_path / "run"
    with pytest.raises(Killed), death(monkeypatch, "tensors", 1):
        train(folder)
    refused(folder, "no checkpoint")
    train(folder)
    train(tmp_path / "whole")
    assert left_by(folder) == left_by(tmp_path / "whole")
    assert not (folder / "earlier-1").exists(), "nothing was recorded, nothing is kept"


def test_a_fresh_start_over_a_record_without_checkpoints_keeps_the_record(run, capsys):
    """`--out` of a run whose checkpoints were thrown away empties its metrics."""
    pytest.importorskip("tensorboard", reason="events among the rest")
    shutil.rmtree(run / "checkpoints")
    metrics = (run / "metrics.jsonl").read_bytes()
    environment = (run / "environment.json").read_bytes()
    assert metrics
    for again in ("earlier-1", "earlier-2"):
        train(run, audit_every=2)
        assert again in capsys.readouterr().err
        shutil.rmtree(run / "checkpoints")
    assert (run / "earlier-1/metrics.jsonl").read_bytes() == metrics
    assert (run / "earlier-1/environment.json").read_bytes() == environment
    assert (run / "earlier-2/summary.json").exists()
    assert len(list(run.glob("events.out.tfevents.*"))) == 1


def test_checkpoints_whose_config_is_missing_are_not_swept_away(run):
    """A fresh start sweeps the checkpoints of a run that nobody can name any more."""
    (run / "config.json").unlink()
    before = held(run)
    with pytest.raises(UsageError, match=r"^out \(=.*config.json is missing"):
        train(run)
    assert held(run) == before


@pytest.mark.parametrize(("option", "other"), [("lr", 0.1), ("seed", 4), ("epochs", 9)])
def test_another_runs_directory_is_refused(option, other, run):
    """Two runs in one directory, the first one's record lost."""
    before = held(run)
    with pytest.raises(UsageError, match=f"holds another run: {option} is"):
        train(run, audit_every=2, **{option: other})
    with pytest.raises(UsageError, match="--resume"):
        train(run, audit_every=2)
    assert held(run) == before


def test_runs_without_out_get_the_next_free_number(tmp_path, monkeypatch):
    """The third run of a command in the directory of the second."""
    monkeypatch.chdir(tmp_path)
    names = [train(None, epochs=1).directory.name for _ in range(3)]  # type: ignore[arg-type]
    assert names == ["toy-3", "toy-3-2", "toy-3-3"]


def test_one_process_at_a_time_writes_a_run(run):
    """Two jobs interleave their lines."""
    held_by_other = directory.lock(run)
    refused(run, "another process is writing this run")
    held_by_other.release()
    train(run, resume=True, audit_every=2)


# -- metrics.jsonl ------------------------------------------------------------------------------


def line_end(data: bytes) -> int:
    return data.index(b"\n") + 1


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda data: data[: line_end(data)], "the checkpoint knows of"),
        (lambda data: b"", "has 0 bytes"),
        (lambda data: b"\x00" * len(data), "inside a line"),
        (lambda data: b"\xff\xfe" + data[2:], "line 1"),
        (lambda data: b"[" + data[1:], "line 1"),
        (lambda data: b"[]" + b" " * (line_end(data) - 3) + data[line_end(data) - 1 :], "line 1"),
        (lambda data: data.replace(b'"kind"', b'"kinb"'), "line 1: kind is missing"),
        (lambda data: data.replace(b'"epoch": 0', b'"epoch":""'), "line 1"),
        (lambda data: b" " + data, "inside a line"),
        (lambda data: data.replace(b'"credit"', b'"tiderc"'), "line 2: credit is missing"),
    ],
)
def test_metrics_that_a_checkpoint_does_not_know_are_refused(edit, part, run):
    """A shorter file filled up with NUL bytes, then a JSON traceback."""
    path = run / "metrics.jsonl"
    path.write_bytes(edit(path.read_bytes()))
    refused(run, str(path), part)


def test_metrics_that_are_missing_are_refused(run):
    """A new, empty file that claims to be the record of a week."""
    (run / "metrics.jsonl").unlink()
    refused(run, str(run / "metrics.jsonl"), "cannot be read")
    assert not (run / "metrics.jsonl").exists()


def test_lines_after_the_checkpoint_are_cut_away(run, tmp_path):
    """The epoch after the checkpoint is told twice."""
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "epoch": 99}\n{"torn')
    train(run, resume=True, audit_every=2)
    train(tmp_path / "whole", audit_every=2)
    assert left_by(run)["lines"] == left_by(tmp_path / "whole")["lines"]


# -- JSON documents -----------------------------------------------------------------------------


def places(value, path=()):
    """Every key of a document, however deep."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def edited(document, place, change):
    """A copy with another value, or without the key."""
    copied = copy.deepcopy(document)
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    if change is places:
        del inner[place[-1]]
    else:
        inner[place[-1]] = change
    return copied


STATE = "checkpoints/last/state.json"
FILES = ("config.json", "environment.json", "summary.json", STATE)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '"a"', "\xff", "[" * 10**5, "{}x"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_document_is_one_line(name, text, made, tmp_path):
    """A traceback of the JSON library, or of the first use."""
    run = shutil.copytree(made, tmp_path / "run", symlinks=True)
    (run / "summary.json").write_text('{"status": "interrupted"}')
    (run / name).write_text(text, encoding="latin-1")
    if name in (STATE, "environment.json"):
        refused(run, name.rpartition("/")[2])
    if name != STATE:
        with pytest.raises(UserError, match=name):
            read_run(run)


def test_every_edit_of_a_checkpoints_document_is_one_line_or_harmless(made, tmp_path):
    """62 tracebacks; a run that goes on from step "x", or with a list for a momentum's shape."""
    document = json.loads((made / STATE).read_text())
    harmless = []
    for number, place in enumerate(places(document)):
        for change in (places, *OTHERS):
            if (number + OTHERS.index(change) if change is not places else 0) % 4:
                continue  # each key meets a quarter of the values, in turn
            run = shutil.copytree(made, tmp_path / "run", symlinks=True)
            (run / STATE).write_text(json.dumps(edited(document, place, change)))
            before = held(run)
            try:
                train(run, resume=True, audit_every=2)
                harmless.append((place, change))
            except UserError as error:
                assert "state.json" in str(error) or str(run) in str(error)
                assert "\n" not in str(error) and held(run) == before, (place, change)
            except SystemExit:  # an epoch beyond the last one: finished
                assert place in (("run", "epoch"), ("run", "stopped")), (place, change)
            shutil.rmtree(run)
    # What changes no number; and of a learner's own number only the learner knows what it may be.
    keys = {"seconds", "line", "best", "stopped", "memory_format", "steps"}
    for place, change in harmless:
        if change is not places:
            assert keys & set(map(str, place)) or change in (1.5, None, True), (place, change)


@pytest.mark.parametrize(
    "key", ("epoch batch step sums seconds line best stopped metrics_bytes").split()
)
def test_what_a_checkpoint_remembers_is_needed_whole(key, run):
    """A missing position is taken for the start."""
    document = json.loads((run / STATE).read_text())
    (run / STATE).write_text(json.dumps(edited(document, ("run", key), places)))
    refused(run, "state.json: run", f"{key} is missing")


@pytest.mark.parametrize(
    ("place", "change", "part"),
    [
        (("format",), 1, "format (=1) must be 2"),
        (("run", "step"), -3, "step (=-3) must be a whole number >= 0"),
        (("run", "sums"), [[1.0, 2.0]], "sums.0 (=[1.0, 2.0]) must be a list of 4 finite"),
        (("run", "sums", 0, 0), math.nan, "must be a list of 4 finite numbers"),
        (("run", "batch"), True, "batch (=true) must be a whole number"),
        (("scalars", "steps"), "8", "scalars.steps (=8) is not like 0"),
        (("scalars", "steps"), 1.5, "scalars.steps (=1.5) is not like 0"),
        (("scalars", "steps"), 10**30, "is not like 0"),
        (("scalars", "more"), 1, "more is in the checkpoint, not in the learner"),
        (("tensors", "W", "shape"), [2, 3], "W has shape [2, 3], the learner's is [3, 2]"),
        (("tensors", "W", "dtype"), "float32", "W has dtype float32"),
        (("tensors", "W", "stored_as"), "V", "tensors.safetensors: lacks V"),
        (("tensors", "W"), places, "W is in the learner only"),
        (("tensors", "rng.cpu"), places, "tensors.rng.cpu is missing"),
        (("tensors", "shadow", "stored_as"), "rng.cpu", "shadow has shape [4]"),
    ],
)
def test_a_wrong_value_in_a_checkpoint_is_named(place, change, part, run):
    """Shapes that broadcast, steps that count backwards, a sum that is no number."""
    document = json.loads((run / STATE).read_text())
    if change is places:
        document = edited(document, place, places)
    else:
        inner = document
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = change
    (run / STATE).write_text(json.dumps(document))
    refused(run, part)


@pytest.mark.parametrize("name", ["config.json", "environment.json", "summary.json"])
def test_every_edit_of_a_record_is_one_line_or_harmless(name, made, tmp_path):
    """A report of forty runs that ends in a traceback because of one."""
    run = shutil.copytree(made, tmp_path / "run", symlinks=True)
    train(run, resume=True, audit_every=2)
    document = json.loads((run / name).read_text())
    whole = read_run(run)
    for place in list(places(document)):
        for change in (places, *OTHERS):
            (run / name).write_text(json.dumps(edited(document, place, change)))
            try:
                record = read_run(run)
            except UserError as error:
                assert str(run / name) in str(error) and str(place[0]) in str(error)
                assert "\n" not in str(error)
                continue
            for use in (record.seed, record.rule, record.dataset, record.name, record.command):
                assert isinstance(use, str | int | float | None)
            assert len(group([whole, record])) in (1, 2) and record.status


@pytest.mark.parametrize(
    ("kind", "name", "needed"),
    [
        (CONFIG, "config.json", {"paper", "script", "options"}),
        (SUMMARY, "summary.json", {"status"}),
        (ENVIRONMENT, "environment.json", set()),
    ],
)
def test_a_missing_key_is_named_where_something_rests_on_it(kind, name, needed, made, tmp_path):
    """`KeyError: 'options'`, without the file."""
    run = shutil.copytree(made, tmp_path / "run", symlinks=True)
    train(run, resume=True, audit_every=2)
    document = json.loads((run / name).read_text())
    for key in document:
        (run / name).write_text(json.dumps({k: v for k, v in document.items() if k != key}))
        if key in needed:
            with pytest.raises(UserError, match=f"{name}: {key} is missing"):
                documents.read(run / name, kind)
        else:
            documents.read(run / name, kind)


@pytest.mark.parametrize(
    ("kind", "value", "part"),
    [
        (SUMMARY, {"status": "done"}, 'status (="done") must be one of finished, failed'),
        (SUMMARY, {"status": "failed", "seconds": -1}, "seconds (=-1) must be a finite"),
        (SUMMARY, {"status": "failed", "final": []}, "final (=[]) must be an object or null"),
        (ENVIRONMENT, {"packages": {"torch": 2}}, "packages.torch (=2) must be a text"),
        (ENVIRONMENT, {"resumed": [{"step": "7"}]}, 'resumed.0.step (="7") must be a whole'),
        (ENVIRONMENT, {"command": "python"}, 'command (="python") must be a list'),
        (CONFIG, {"paper": "p", "script": 3, "options": {}}, "script (=3) must be a text"),
        (CONFIG, {"paper": "p", "script": "s", "options": []}, "options (=[]) must be an object"),
        (NUMBER, 10**400, "must be a finite number"),
        (NUMBER, math.nan, "must be a finite number"),
        (NUMBER, False, "must be a finite number"),
    ],
)
def test_the_line_names_key_value_and_what_is_allowed(kind, value, part):
    """An error that sends the reader through the whole file."""
    with pytest.raises(UserError) as caught:
        documents.check(value, kind, "file.json")
    assert str(caught.value).startswith("file.json: ") and part in str(caught.value)


def test_every_stored_record_of_the_papers_fits_its_kind():
    """A schema that refuses what our own programs wrote."""
    kinds = {"config.json": CONFIG, "environment.json": ENVIRONMENT, "summary.json": SUMMARY}
    seen = 0
    for name, kind in kinds.items():
        for path in ROOT.glob(f"*/results/**/{name}"):
            documents.read(path, kind)
            seen += 1
    for path in ROOT.glob("*/results/**/metrics.jsonl"):
        assert documents.read_lines(path, path.read_bytes())
        seen += 1
    assert seen > 100


def test_a_resumed_part_is_added_to_those_before(made, tmp_path):
    """The second resume forgets the first: numbers ascribed to code that did not make them."""
    run = shutil.copytree(made, tmp_path / "run", symlinks=True)
    train(run, resume=True, audit_every=2)
    environment = documents.read(run / "environment.json", ENVIRONMENT)
    assert [part["step"] for part in environment["resumed"]] == [6, 10]


def test_what_changed_since_a_run_began_is_warned_about(run, capsys, monkeypatch):
    """Bits that differ from an unbroken run's without a word."""
    monkeypatch.setattr(environment, "_installed", lambda name: "2" if name == "numpy" else "1")
    train(run, resume=True, audit_every=2)
    assert "packages numpy: 1 then, 2 now" in capsys.readouterr().err
