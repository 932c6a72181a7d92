"""targets.csv and the tables: nothing typed, nothing that no run produced."""

import json
import shutil
import sys

import pytest

from common.errors import UsageError, UserError
from common.reports import papers, targets
from common.reports.measured import measure, recompute
from common.reports.target_rows import (
    COLUMNS,
    EXPLAINED,
    OPTIONAL,
    format_targets,
    read_targets,
)
from common.runs.read_back import read_run
from tests.reports.conftest import epoch

HEADER = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("test_accuracy", 92.0),
        ("best_test_accuracy", 95.0),
        ("test_error", 8.0),
        ("best_test_error", 5.0),
        ("min(test_error)", 5.0),
        ("max(test_error)", 10.0),
        ("min(test_loss)", 1 / 3),
        ("best_test_loss", 1 / 3),
    ],
)
def test_metrics_say_which_epoch_counts(tmp_path, make_run, metric, expected):
    """The best epoch's accuracy compared with a final one is half a point for free."""
    lines = [epoch(i, value) for i, value in enumerate([90.0, 95.0, 92.0], start=1)]
    assert measure(read_run(make_run(tmp_path / "r", lines)), metric) == pytest.approx(expected)


def test_a_metric_that_the_run_has_not_is_an_error(tmp_path, make_run):
    """An epoch without a test would lend the row an older epoch's value."""
    lines = [epoch(1, 90.0), {"kind": "epoch", "epoch": 2, "step": 20}]
    run = read_run(make_run(tmp_path / "r", lines))
    with pytest.raises(UserError, match="no test_accuracy"):
        measure(run, "test_accuracy")
    with pytest.raises(UserError, match="no val_accuracy"):
        measure(run, "best_val_accuracy")


def csv(**changes: str) -> str:
    """A targets.csv with one row: the paper says 92 %, seeds 1 2 3, 2 epochs of digits."""
    cells = dict.fromkeys(COLUMNS, "")
    cells |= {
        "id": "digits",
        "source": "Table 1",
        "dataset": "digits",
        "rule": "lra_e",
        "network": "mlp",
    }
    cells |= {"metric": "test_accuracy", "paper": "92", "recipe": "paper", "seeds": "1 2 3"}
    cells |= {"command": "python -m lra_e.mnist.mnist_torch --data digits --epochs 2"}
    return HEADER + ",".join((cells | changes)[name] for name in COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER.replace("rule", "rul"), ["line 1", "column", "rul", "did you mean rule"]),
        (HEADER.replace("rule,", ""), ["line 1", "rule", "missing"]),
        (csv(paper="98,5"), ["line 2", "columns expected"]),
        (csv(paper="ninety"), ["line 2", "column paper", "'ninety'", "number"]),
        (csv(paper="nan"), ["line 2", "column paper", "'nan'", "number"]),
        (csv(paper_spread="-1"), ["line 2", "column paper_spread", "'-1'", ">= 0"]),
        (csv(n="2.5"), ["line 2", "column n", "'2.5'", "whole number"]),
        (csv(seeds="1;2"), ["line 2", "column seeds", "'1;2'"]),
        (csv(verdict="yes"), ["line 2", "column verdict", "'yes'", "match"]),
        (csv(metric="argmax(x)"), ["line 2", "column metric", "'argmax(x)'"]),
        (csv(recipe=""), ["line 2", "column recipe", "empty"]),
        (csv() + csv().splitlines()[1] + "\n", ["line 3", "column id", "'digits'", "twice"]),
    ],
)
def test_a_wrong_cell_is_named_with_file_line_column_and_value(tmp_path, text, words):
    """A number that cannot be read must not become an empty cell: the verdict would change."""
    path = tmp_path / "targets.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_targets(path)
    assert all(word in str(error.value) for word in ["targets.csv", *words])


@pytest.fixture
def house(tmp_path, monkeypatch, make_run):
    """A checkout with one paper, a README with its blocks, and three finished runs elsewhere."""
    root = tmp_path / "house"
    folder = root / "lra_e"
    folder.mkdir(parents=True)
    text = 'title="A | rule"\nrule="r"\nframework="PyTorch"\ncommand="python -m x"\n'
    (folder / "paper.toml").write_text(text + 'our_row="digits"\n')
    (folder / "targets.csv").write_text(csv())
    blocks = (
        "# T\n<!-- papers -->\nold\n<!-- end -->\nkept\n<!-- targets: lra_e -->\n<!-- end -->\n"
    )
    (root / "README.md").write_text(blocks)
    monkeypatch.setattr(papers, "root", lambda: root)
    monkeypatch.chdir(tmp_path)
    for seed, accuracy in {1: 91.0, 2: 92.0, 3: 93.0}.items():
        path = tmp_path / "runs" / "reproduce" / "lra_e" / "digits" / f"seed-{seed}"
        run = {"dataset": "digits", "data_dir": "/srv/somebody/data", "epochs": 2}
        make_run(path, [epoch(1, 80.0), epoch(2, accuracy)], seed=seed, options=run)
        (path / "checkpoints").mkdir()
    return root


def test_a_row_names_the_code_of_every_part_of_its_runs(house):
    """A run that was resumed with other code, ascribed to the code that began it."""
    environment = house.parent / "runs/reproduce/lra_e/digits/seed-2/environment.json"
    begun = json.loads(environment.read_text())
    later = {"git_commit": "fedcba9876543210", "git_dirty": True}
    environment.write_text(json.dumps(begun | {"resumed": [{"step": 3}, later]}))
    call("collect")
    (filled,) = read_targets(house / "lra_e" / "targets.csv")
    assert filled.commit == "0123456789ab; fedcba987654+changes"


def call(*words: str) -> None:
    targets.main(list(words), standalone_mode=False)


def test_a_row_is_filled_from_the_runs_and_the_tables_from_the_row(house):
    """A table typed by hand, or from other runs than those kept, cannot be checked by anyone."""
    call("collect")
    (filled,) = read_targets(house / "lra_e" / "targets.csv")
    assert (filled.ours, filled.n, filled.verdict) == (92.0, 3, "inconclusive")
    assert filled.interval == pytest.approx(4.302653 / 3**0.5, abs=5e-5)
    assert (filled.hardware, filled.commit) == ("Abacus, 2 cores", "0123456789ab")
    kept = sorted(path.name for path in (house / "lra_e/results/digits/seed-1").iterdir())
    assert kept == sorted(targets.FILES)
    assert "somebody" not in (house / "lra_e/results/digits/seed-1/config.json").read_text()
    readme = (house / "README.md").read_text()
    assert "old" not in readme and "\nkept\n" in readme
    ours = "92.00 ± 2.48 %"
    theirs = "digits, mlp: 92 % (Table 1)"
    start = f"[A \\| rule](lra_e/README.md) | r | PyTorch | `python -m x` | {theirs} | {ours}"
    assert start in readme
    assert f"| 92 | {ours} | 3 | paper | inconclusive |" in readme
    before = readme, (house / "lra_e" / "targets.csv").read_text()
    call("tables", "--check")
    call("update")
    after = (house / "README.md").read_text(), (house / "lra_e" / "targets.csv").read_text()
    assert before == after


@pytest.mark.parametrize("stale", ["README.md", "lra_e/targets.csv", "results"])
def test_check_names_the_file_that_is_out_of_date(house, stale):
    """A verdict or table edited by hand stays in the README for good."""
    call("collect")
    if stale == "results":  # a result disappears: the row claims more than there is
        shutil.rmtree(house / "lra_e/results/digits/seed-3")
        stale = "lra_e/targets.csv"
    else:
        text = (house / stale).read_text()
        (house / stale).write_text(text.replace("inconclusive", "match"))
    before = (house / stale).read_text()
    with pytest.raises(UserError, match=f"{stale} is out of date") as error:
        call("tables", "--check")
    assert error.value.code == 1 and (house / stale).read_text() == before


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"epochs": 1}},
        {"options": {"dataset": "mnist"}},
        {"script": "lra_e.fmnist.fmnist_torch"},
        {"seed": 2},
        {"status": "interrupted"},
    ],
)
def test_a_run_that_is_not_the_rows_is_refused(tmp_path, make_run, change):
    """A trial run of one epoch, left in the folder, would count as a run of the paper's recipe."""
    path = tmp_path / "targets.csv"
    path.write_text(csv())
    rows = read_targets(path)
    lines = [epoch(1, 80.0), epoch(2, 92.0)]
    make_run(tmp_path / "good" / "digits" / "seed-1", lines)
    assert recompute(rows, tmp_path / "good")[0].n == 1
    make_run(tmp_path / "bad" / "digits" / "seed-1", lines, **change)
    with pytest.raises(UserError, match="seed-1"):
        recompute(rows, tmp_path / "bad")


def test_a_failed_run_is_named_and_not_collected(house, capsys):
    """A seed that diverged and is dropped in silence leaves only the seeds that went well."""
    path = house.parent / "runs/reproduce/lra_e/digits/seed-2/summary.json"
    path.write_text(json.dumps({"status": "failed", "seed": 2}))
    call("collect")
    assert "seed-2: failed, not collected" in capsys.readouterr().err
    assert read_targets(house / "lra_e" / "targets.csv")[0].n == 2


SCRIPT = """
import json, pathlib, sys
words = sys.argv[1:]
folder = pathlib.Path(words[words.index("--resume" if "--resume" in words else "--out") + 1])
folder.mkdir(parents=True, exist_ok=True)
(folder / "words.json").write_text(json.dumps(words))
seed = int(folder.name.removeprefix("seed-"))
facts = {"paper": "lra_e", "script": "toy_script", "name": "toy", "seed": seed}
options = {"seed": seed, "epochs": 2, "dataset": "digits"}
(folder / "config.json").write_text(json.dumps({**facts, "options": options}))
(folder / "environment.json").write_text("{}")
line = {"kind": "epoch", "epoch": 2, "step": 2, "test_accuracy": 90.0 + seed}
(folder / "metrics.jsonl").write_text(json.dumps(line) + chr(10))
(folder / "summary.json").write_text(json.dumps({**facts, "status": "finished"}))
"""


def test_reproduce_runs_the_command_for_each_seed_and_resumes_what_was_begun(house, monkeypatch):
    """Eighty hours of a run start again from nothing, or one seed is run three times."""
    (house.parent / "toy_script.py").write_text(SCRIPT)
    monkeypatch.setenv("PYTHONPATH", str(house.parent))
    command = "python -m toy_script --epochs 2"
    (house / "lra_e" / "targets.csv").write_text(csv(id="toy", command=command))
    (house / "lra_e" / "paper.toml").write_text(
        (house / "lra_e" / "paper.toml").read_text().replace("digits", "toy")
    )
    runs = house.parent / "runs/reproduce/lra_e/toy"
    (runs / "seed-2" / "checkpoints" / "last").mkdir(parents=True)
    call("reproduce", "lra_e", "toy", "--seeds", "1 2")
    (filled,) = read_targets(house / "lra_e" / "targets.csv")
    assert (filled.ours, filled.n, filled.verdict) == (91.5, 2, "inconclusive")
    words = [json.loads((runs / f"seed-{seed}" / "words.json").read_text()) for seed in (1, 2)]
    begin = ["--epochs", "2", "--seed", "1", "--out"]
    assert words[0][:-1] == begin and words[1][0] == "--resume"
    (runs / "seed-1" / "words.json").unlink()
    call("reproduce", "lra_e", "toy")  # seeds 1 and 2 are finished, only 3 is run
    assert not (runs / "seed-1" / "words.json").exists()
    assert read_targets(house / "lra_e" / "targets.csv")[0].ours == 92.0
    with pytest.raises(UsageError, match="--seeds"):
        call("reproduce", "lra_e", "toy", "--seeds", "9")
    with pytest.raises(UsageError, match="did you mean toy"):
        call("reproduce", "lra_e", "tay")


def test_a_block_without_end_is_an_error_and_nothing_is_lost(house):
    """A missing end mark would let the generator swallow the rest of the README."""
    text = "<!-- papers -->\nprecious\n"
    (house / "README.md").write_text(text)
    with pytest.raises(UserError, match="README.md.*no <!-- end -->"):
        call("tables")
    assert (house / "README.md").read_text() == text


def test_the_switches_block_is_the_papers_table(house, monkeypatch):
    """A README that lists other defaults than the program's."""
    (house / "toy_paper").mkdir()
    (house / "toy_paper" / "fidelity.py").write_text(
        "from dataclasses import dataclass\nfrom common.cli.switches import switch\n"
        "@dataclass(frozen=True)\nclass Fidelity:\n    flip: bool = switch(corrected=False, "
        "original=True, defect='7', effect='turned', evidence='seen')\n"
    )
    text = (house / "lra_e" / "paper.toml").read_text().replace('our_row="digits"', "")
    (house / "toy_paper" / "paper.toml").write_text(text)
    (house / "README.md").write_text("<!-- switches: toy_paper -->\n<!-- end -->\n")
    monkeypatch.syspath_prepend(str(house))
    call("tables")
    readme = (house / "README.md").read_text()
    assert "turned" in readme and "--flip" in readme and readme.endswith("|\n<!-- end -->\n")
    other = (house / "toy_paper" / "fidelity.py").read_text().replace("turned", "of one script")
    (house / "toy_paper" / "one_script.py").write_text(other)
    (house / "README.md").write_text("<!-- switches: toy_paper.one_script -->\n<!-- end -->\n")
    call("tables")
    assert "of one script" in (house / "README.md").read_text()
    sys.modules.pop("toy_paper.fidelity", None)
    sys.modules.pop("toy_paper.one_script", None)


def test_the_tables_of_this_repository_are_up_to_date():
    """A README that shows other numbers than the runs on disk."""
    root = papers.root()
    stale = targets.stale_files(targets.expected_files(root))
    assert [str(path.relative_to(root)) for path in stale] == []


def test_only_the_columns_that_a_person_knows_must_be_there(tmp_path):
    """Seven empty columns to be filled in by runs, and an error for each one left out."""
    known = ("id", "source", "dataset", "network", "rule", "metric", "paper", "recipe", "command",
             "seeds")  # fmt: skip
    cells = dict(zip(COLUMNS, csv().splitlines()[1].split(","), strict=True))
    path = tmp_path / "targets.csv"
    path.write_text(",".join(known) + "\n" + ",".join(cells[name] for name in known) + "\n")
    (row,) = read_targets(path)
    assert (row.paper, row.seeds, row.paper_spread) == (92.0, (1, 2, 3), None)
    assert (row.ours, row.n, row.verdict, row.cost) == (None, 0, "not run", "")
    path.write_text(format_targets([row]))
    assert path.read_text().splitlines()[0].split(",") == list(COLUMNS)
    assert read_targets(path) == [row]


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in OPTIONAL])
def test_a_column_that_is_missing_is_explained_where_it_is_asked_for(column, tmp_path):
    """ "The column recipe is missing", and no word of what to write there."""
    path = tmp_path / "targets.csv"
    path.write_text(",".join(name for name in COLUMNS if name != column) + "\n")
    with pytest.raises(UserError, match=f"the column {column} is missing: ") as error:
        read_targets(path)
    assert EXPLAINED[column] in str(error.value)
