"""Run directories → runs, series, page."""

import re
from html.parser import HTMLParser

import pytest

from common.errors import UserError
from common.reports.compare import main, sections
from common.reports.grouping import group
from common.reports.page import page
from common.runs.read_back import interval, read_run
from tests.reports.conftest import audit, epoch


class Cells(HTMLParser):
    """The rows of the table of runs: for each cell its text, and the values of its <data>."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[dict]] = []
        self.inside = self.cell = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.inside = attrs.get("id") == "runs" if tag == "table" else self.inside
        if self.inside and tag == "tr":
            self.rows.append([])
        elif self.inside and tag in ("td", "th"):
            self.cell = True
            self.rows[-1].append({"text": "", "data": None})
        elif self.inside and tag == "data":
            self.rows[-1][-1]["data"] = attrs["value"]

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "table"
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1]["text"] += data


def test_interval_is_the_t_interval_of_the_mean():
    """A normal quantile instead of Student's makes three seeds look twice as certain."""
    # t(0.975, 2) = 4.302653, s = 1, n = 3;  t(0.975, 1) = 12.706205, s = sqrt(2), n = 2
    assert interval([1.0, 2.0, 3.0]) == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert interval([0.0, 2.0]) == pytest.approx(12.706205, rel=1e-6)
    assert interval([5.0]) is None


def test_a_crashed_run_is_readable_without_its_torn_last_line(tmp_path, make_run):
    """A run that is going or crashed could not be looked at just when one wants to look at it."""
    path = make_run(tmp_path / "r", [epoch(1, 90.0), epoch(2, 91.0)], status=None)
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "epoch": 3, "test_acc')
    (path / "environment.json").unlink()
    run = read_run(path)
    assert (run.status, run.rule, run.seed, run.final["epoch"]) == ("unfinished", "lra_e", 1, 2)


def test_a_broken_line_inside_the_metrics_is_named(tmp_path, make_run):
    """Dropping what cannot be read would move the best epoch in silence."""
    path = make_run(tmp_path / "r", [epoch(1, 90.0)])
    path.joinpath("metrics.jsonl").write_text('{"kind": "epoch"}\nnonsense\n{"kind": "epoch"}\n')
    with pytest.raises(UserError, match=r"metrics.jsonl, line 2"):
        read_run(path)


def test_a_folder_that_is_no_run_is_one_clear_line(tmp_path):
    """A typing error in the path ended in a traceback."""
    with pytest.raises(UserError, match="no run directory") as error:
        read_run(tmp_path)
    assert "\n" not in str(error.value)


def test_seeds_are_joined_and_other_recipes_are_not(tmp_path, make_run):
    """Averaging runs of different options shows a recipe that nobody ran."""
    lines = [epoch(1, 90.0)]
    paths = [make_run(tmp_path / f"s{seed}", lines, seed=seed) for seed in (1, 2)]
    paths.append(make_run(tmp_path / "beta", lines, seed=3, options={"beta": 0.2}))
    paths.append(make_run(tmp_path / "bp", lines, rule="bp"))
    paths.append(make_run(tmp_path / "again", lines, seed=1))  # n counts seeds, not runs
    series = group([read_run(path) for path in paths])
    assert [len(one.runs) for one in series] == [2, 1, 1, 1]
    labels = [one.label for one in series]
    assert len(set(labels)) == 4 and "beta=0.2" in labels[1] and labels[2] == "bp"


def test_the_command_that_is_shown_repeats_the_run(tmp_path, make_run):
    """A command with the old --out is refused by the directory that the first run left."""
    words = ["/somewhere/mnist_torch.py", "--data", "digits", "--out", "a b", "--beta=0.2"]
    run = read_run(make_run(tmp_path / "r", [epoch(1, 90.0)], environment={"command": words}))
    assert run.command == "python -m lra_e.mnist.mnist_torch --data digits --beta=0.2"


def test_every_number_in_the_table_is_the_one_in_the_files(tmp_path, make_run):
    """Columns that slip by one show a training accuracy as the test accuracy."""
    one = make_run(tmp_path / "one", [epoch(1, 91.123456), epoch(2, 90.987654)], seed=7)
    two = make_run(tmp_path / "two", [epoch(1, 80.0, train_accuracy=None)], rule="bp", status=None)
    runs = [read_run(one), read_run(two)]
    head, first, second = Cells(page("t", sections(runs))).rows
    columns = [cell["text"] for cell in head]
    row = dict(zip(columns, first, strict=True))
    expected = {
        "seed": ("7", "7"),
        "epochs": ("2", "2"),
        "train %": ("92.487654", "92.49"),
        "test %": ("90.987654", "90.99"),
        "best test %": ("91.123456", "91.12 epoch 1"),
        "seconds": ("7.25", "7.2"),
        "images/s": ("1234.56", "1,235"),
        "parameters": ("54321", "54,321"),
    }
    cells = {name: (cell["data"], cell["text"]) for name, cell in row.items() if cell["data"]}
    assert cells == expected
    texts = {name: cell["text"] for name, cell in zip(columns, second, strict=True)}
    assert texts["run"] == "two (unfinished)" and texts["train %"] == "–" == texts["seconds"]


def test_the_page_needs_nothing_from_outside(tmp_path, make_run):
    """A page with a linked font or figure is empty on a plane, and tells a server who reads it."""
    lines = [epoch(1, 90.0), audit(10, {"W1": 60.0, "W2": 5.0})]
    run = read_run(make_run(tmp_path / "r", lines))
    html = page("t", sections([run]))
    assert html.count("<svg") == 4  # accuracy, loss, credit and feedback angles
    assert not re.search(r"https?:|//[a-z]|<script|<link|<img|@import|url\((?!#)", html)
    assert all(target.startswith("#") for target in re.findall(r'(?:href|src)="([^"]*)', html))
    anchors = re.findall(r'(?:href="#|url\(#)([^")]+)', html)
    identifiers = re.findall(r'<(?:clipPath|path|g|use)[^>]*? id="([^"]+)"', html)
    referenced = [name for name in identifiers if name in anchors]
    assert set(anchors) == set(referenced) and len(referenced) == len(set(referenced))


def test_what_a_file_says_is_text_and_never_markup(tmp_path, make_run):
    """A run's name with a < in it breaks the page, or runs somebody's script in it."""
    bad = "<b>&'\"</b>"
    options = {"note": bad, bad: 1}
    more = {
        "rule": bad,
        "seed": bad,
        "options": options,
        "environment": {"processor": bad, bad: bad},
    }
    run = read_run(make_run(tmp_path / "<b>&", [epoch(1, 90.0, seconds=bad)], paper=bad, **more))
    assert "<b>&" not in page(bad, sections([run]), bad)


def test_the_page_shows_differing_options_and_the_mean_of_seeds(tmp_path, make_run):
    """Without the seeds' spread beside it, a difference of a tenth looks like a result."""
    accuracies = {1: 90.0, 2: 91.0, 3: 92.0}
    runs = [
        read_run(make_run(tmp_path / f"s{seed}", [epoch(1, accuracy)], seed=seed))
        for seed, accuracy in accuracies.items()
    ]
    html = page("t", sections(runs))
    text = re.sub(r"<[^>]+>", " ", html)
    assert re.search(r"91\.00\s+±\s+2\.48", text)  # 4.302653 * 1 / sqrt(3)
    open_part = html[: html.index("<details>")]
    assert "<code>seed</code>" in open_part and "<code>epochs</code>" not in open_part


def test_the_command_writes_page_and_figures(tmp_path, make_run, capsys):
    """The figures that a run directory promises are missing, or the page goes astray."""
    names = ("a", "b")
    paths = [str(make_run(tmp_path / name, [epoch(1, 90.0)], rule=name)) for name in names]
    main([*paths, "--out", str(tmp_path / "x" / "page.html")], standalone_mode=False)
    out = tmp_path / "x" / "page.html"
    assert capsys.readouterr().out.strip() == str(out)
    assert ">b<" in out.read_text() and (tmp_path / "a" / "figures" / "accuracy.png").stat().st_size


def test_an_unfinished_run_has_the_rule_that_its_options_name(tmp_path, make_run):
    """BrainProp's runs, whose feedback option says "shared", shown as that until they end."""
    named = {"rule": None, "learning_algorithm": "BrainProp", "feedback": "shared"}
    run = read_run(
        make_run(tmp_path / "r", [epoch(1, 90.0)], status=None, paper="brainprop", options=named)
    )
    assert run.rule == "brainprop"
