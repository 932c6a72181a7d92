"""The demo: runs papers' programs, shows only what they have just made."""

import re

import pytest

from common.errors import UsageError, UserError
from common.reports import demo, papers

PROGRAM = """
import json, pathlib, sys
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("a word of the program")
if words["--rule"] == "bad":
    sys.exit("the loss is nan")
out = pathlib.Path(words["--out"])
out.mkdir(parents=True)
facts = {"paper": "toy", "script": "toy_program", "name": "toy", "seed": 1, "rule": words["--rule"]}
(out / "config.json").write_text(json.dumps({**facts, "options": {"rule": words["--rule"]}}))
lines = []
for epoch in (1, 2):
    angle = {"W1": {"angle": 60.0, "cosine": 0.5, "too_small": False}}
    lines.append({"kind": "audit", "epoch": epoch, "step": epoch, "credit": angle})
    accuracy = float(words["--accuracy"])
    lines.append({"kind": "epoch", "epoch": epoch, "step": epoch, "test_accuracy": accuracy})
(out / "metrics.jsonl").write_text("".join(json.dumps(line) + chr(10) for line in lines))
(out / "summary.json").write_text(json.dumps({**facts, "status": "finished"}))
"""
RUN = """
[[demo]]
label = "{0}"
rule = "{1}"
module = "toy_program"
args = ["--rule", "{1}", "--accuracy", "{2}"]
"""
PAPER = 'title="Toys & <more>"\nrule="play"\nframework="{}"\ncommand="python -m toy_program"\n'


@pytest.fixture
def house(tmp_path, monkeypatch):
    """Papers `toy` (rule and backprop) and `alien` (its framework is not installed)."""
    (tmp_path / "toy_program.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    runs = RUN.format("My rule", "toy", 81.25) + "needs=[]\n" + RUN.format("backprop", "bp", 83.5)
    write(tmp_path, "toy", PAPER.format("none") + runs)
    aliens = RUN.format("Alien", "x", 1) + 'needs=["framework_from_mars"]\n'
    write(tmp_path, "alien", PAPER.format("PyTorch").replace("Toys", "Aliens") + aliens)
    monkeypatch.setattr(papers, "root", lambda: tmp_path)
    return tmp_path


def write(root, name, text):
    (root / name).mkdir()
    (root / name / "paper.toml").write_text(text)


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<(?!data)[^>]*>", " ", page.read_text()))


def test_the_page_holds_the_runs_just_made_and_says_what_was_left_out(house, capsys):
    """A paper that cannot run here disappears from the page, or last week's numbers stay on it."""
    out = house / "out"
    demo.main(["--out", str(out)], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(out / "index.html")
    assert any("My rule: epoch 2, test 81.2 %" in line for line in lines)
    html = (out / "index.html").read_text()
    assert '<data value="81.25">' in html and '<data value="83.5">' in html
    assert (
        html.count(">My rule</text>") == html.count(">backprop</text>") == 1
    )  # angles, side by side
    assert "My rule 81.2" in html and "backprop 83.5" in html  # one panel of curves for both
    assert "Alien was not run: framework_from_mars is not installed." in html
    assert "Toys &amp; &lt;more&gt;" in html
    assert (out / "toy" / "My_rule.log").read_text() == "a word of the program\n"

    toml = house / "toy" / "paper.toml"
    toml.write_text(toml.read_text().replace("81.25", "85.75"))
    demo.main(["--out", str(out), "--only-page"], standalone_mode=False)
    assert '<data value="81.25">' in (out / "index.html").read_text()
    demo.main(["--out", str(out), "--paper", "toy"], standalone_mode=False)
    html = (out / "index.html").read_text()
    assert '<data value="85.75">' in html and "81.25" not in html and "Alien" not in html


def test_a_run_that_fails_ends_the_demo_with_its_log_named(house):
    """A page without the failed run looks like a demo that went well."""
    toml = house / "toy" / "paper.toml"
    toml.write_text(toml.read_text().replace('"bp"', '"bad"'))
    with pytest.raises(UserError, match=r"backprop failed .*toy/backprop\.log: the loss is nan"):
        demo.main(["--out", str(house / "out")], standalone_mode=False)
    assert not (house / "out" / "index.html").exists()


def test_a_folder_with_other_files_is_left_alone(house):
    """`--out .` would empty somebody's home directory."""
    mine = house / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("precious")
    for words in (["--out", str(mine)], ["--out", str(mine), "--only-page"]):
        with pytest.raises(UserError, match="--out"):
            demo.main(words, standalone_mode=False)
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]


def test_an_unknown_paper_is_a_usage_error(house):
    """A misspelt name makes an empty page."""
    with pytest.raises(UsageError, match="did you mean toy"):
        demo.main(["--out", str(house / "out"), "--paper", "toi"], standalone_mode=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('title="x"', "'command' must be a non-empty text"),
        (PAPER.format("JAX") + "ruel=1", "'ruel' is no key"),
        (PAPER.format("JAX") + "[[demo]]\nlabel='x'", "demo 1: 'module' must be"),
        ("title=", "paper.toml"),
    ],
)
def test_a_wrong_paper_toml_is_named(tmp_path, text, words):
    """A key with a typing error is a demo run that silently never happens."""
    write(tmp_path, "p", text)
    with pytest.raises(UserError, match=words):
        papers.find_papers(tmp_path)


def test_a_run_needs_the_frameworks_of_its_paper_unless_it_says_otherwise(tmp_path):
    """A torch run of a paper in two frameworks is left out where TensorFlow is missing."""
    runs = RUN.format("both", "a", 1) + RUN.format("one", "b", 1) + 'needs=["torch"]\n'
    write(tmp_path, "p", PAPER.format("TensorFlow and PyTorch") + runs)
    both, one = papers.read_paper(tmp_path / "p").demo
    assert set(both.needs) == {"torch", "tensorflow"} and one.needs == ("torch",)
