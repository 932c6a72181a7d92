"""Every reference to docs/papers is followed, and every switch stands in its paper's page."""

import importlib
import re
from pathlib import Path

import pytest

from common.cli import Command
from tests.docs import references as refs
from tests.docs.pages import PAGES, ROOT, short

SCRIPTS = (
    *("asap.train", "asap.eval"),
    *("brainprop.main", "brainprop.gain_modulation", "brainprop.tinyimagenet"),
    *("burstprop.train_mnist", "burstprop.train_cifar10", "burstprop.train_imagenet"),
    *("lra_e.mnist.mnist", "lra_e.mnist.mnist_newTF", "lra_e.fmnist.fmnist_torch"),
    *("s3net.cifar100.train_S3Net", "s3net.tinyimagenet.train", "s3net.imagenet.train"),
)
DOCS = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("paper", refs.PAPERS)
def test_a_papers_page_begins_with_its_claim_and_has_what_code_refers_to(paper: str) -> None:
    """A newcomer who follows "(paper, 5)" and finds no equations."""
    headings = re.findall(r"(?m)^#{1,2} (.*)$", refs.text_of(paper))
    assert headings[1] == "1 Claim"
    words = {"2", "4", "5", "9", "10", "11"}
    assert words <= refs.sections(refs.text_of(paper))
    assert "| symbol | meaning |" in refs.text_of(paper).split("\n## ")[1]
    assert "not available" in refs.text_of(paper)


def test_references_lead_somewhere() -> None:
    """Somebody looks for defect D14 and there is none, or for a section that was renumbered."""
    lost = []
    for path in set(refs.files()) - {Path(__file__)}:
        missing = refs.unresolved(path.read_text(encoding="utf-8"), refs.owner(path))
        lost += [f"{short(path)}: {reference}" for reference in missing]
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("paper", refs.PAPERS)
def test_code_refers_to_its_page(paper: str) -> None:
    """A pattern that finds no reference at all resolves every one of them."""
    files = [path for path in (ROOT / paper).rglob("*.py")]
    references = [r for path in files for r in refs.references(path.read_text(encoding="utf-8"))]
    assert len(references) >= 5
    assert {name for name, _ in references} == {paper}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("as told (burstprop, 5.1.8)", []),
        ("as told (burstprop, 5.1, 5.99)", ["(burstprop, 5.99)"]),
        ("noise (burstprop,\n    # D7, D77)", ["(burstprop, D77)"]),
        ("kernels (s3net, ntk 5)", []),
        ("kernels (s3net, ntk 55)", ["(s3net, ntk 55)"]),
        ("D3 and D4 are gone, D99 is not", ["D99 (burstprop)"]),
        ("call(lra_e, model)", []),
    ],
)
def test_a_reference_to_nothing_is_found(text: str, missing: list[str]) -> None:
    """A checker that follows nothing."""
    assert refs.unresolved(text, "burstprop") == missing


def test_no_reference_is_of_the_kind_that_cannot_be_followed() -> None:
    """A text that sends its reader to a specification which the repository does not hold."""
    lost = []
    for path in refs.files():
        if path.parent != Path(__file__).parent:
            hits = refs.LOST.findall(path.read_text(encoding="utf-8"))
            lost += [f"{short(path)}: {hit}" for hit in hits]
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("paper", refs.PAPERS)
def test_pages_and_code_have_the_same_switches(paper: str) -> None:
    """A switch that its paper's page does not explain, or one that no program has."""
    in_page = {(d, s) for d, all_ in refs.defects(refs.text_of(paper)).items() for s in all_}
    assert in_page == set(refs.switches(paper))


@pytest.mark.parametrize("paper", refs.PAPERS)
def test_defects_are_numbered_once_and_without_gaps(paper: str) -> None:
    """Two defects of one number: a reference that leads to the wrong one."""
    numbers = [number for number, _ in refs.ROW.findall(refs.text_of(paper))]
    for letter in {number[0] for number in numbers}:
        of_one_table = [int(number[1:]) for number in numbers if number[0] == letter]
        assert of_one_table == list(range(1, len(of_one_table) + 1))


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_where_a_switch_is_explained(script: str) -> None:
    """--help names a defect, and nothing tells where its number comes from."""
    paper = script.split(".")[0]
    main = importlib.import_module(script).main
    assert isinstance(main, Command)
    texts = {param.name: getattr(param, "help", None) or "" for param in main.params}
    assert f"docs/papers/{paper}.md" in texts["compat"]
    references = [reference for text in texts.values() for reference in refs.references(text)]
    assert references and {name for name, _ in references} == {paper}
    assert refs.unresolved(" ".join(texts.values()), paper) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent != ROOT], ids=short)
def test_a_papers_readme_leads_to_its_page(page: Path) -> None:
    """A table of defects without the evidence being one click away."""
    assert f"(../docs/papers/{page.parent.name}.md)" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", DOCS, ids=short)
def test_links_of_the_documentation_are_there(page: Path) -> None:
    """A page that was moved away from what it links to."""
    text = page.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", h).lower().replace(" ", "-")
        for h in re.findall(r"(?m)^#+ (.*)$", text)
    }
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("#"):
            assert link[1:] in anchors
        elif not link.startswith("https:"):
            assert (page.parent / link.split("#")[0]).exists(), link


def test_the_plan_of_the_house_has_every_room_and_paper() -> None:
    """A room that nobody finds, because the plan was drawn before it was built."""
    plan = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (ROOT / "common").glob("*/__init__.py")}
    assert rooms <= set(re.findall(r"`common/(\w+)/`", plan))
    assert all(paper in plan for paper in refs.PAPERS)
