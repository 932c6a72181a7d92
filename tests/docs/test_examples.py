"""Every example that is printed runs: README blocks by Sybil, docstrings by doctest."""

import ast
import contextlib
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.docs.pages import (
    FRAMEWORKS,
    PACKAGES,
    PAGES,
    ROOT,
    Block,
    blocks,
    docstrings,
    modules_with_examples,
    short,
)

BLOCKS = blocks()
MODULES = modules_with_examples()
OUTLINE = re.compile(r"(?m)^In outline\b.*:\n\n(?: {4}.*\n)+")


@contextlib.contextmanager
def or_skipped() -> Iterator[None]:
    """A paper's environment lacks the others' frameworks; nothing else may be missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in FRAMEWORKS:
            raise
        pytest.skip(f"{error.name} is not installed")


def folder_of_images(root: Path) -> Path:
    """root/train and root/val, two classes of two images each: what an example calls `root`."""
    for half in ("train", "val"):
        for label, name in enumerate(("cat", "dog")):
            (root / half / name).mkdir(parents=True)
            for i in range(2):
                pixels = np.full((40, 50, 3), 90 * label + 40 * i, np.uint8)
                Image.fromarray(pixels).save(root / half / name / f"{i}.png")
    return root


@pytest.mark.parametrize("block", BLOCKS, ids=[block.id for block in BLOCKS])
def test_a_readmes_python_runs_as_it_is_printed(block: Block, tmp_path, monkeypatch) -> None:
    """A name that the page does not define, or a call that the code no longer has."""
    monkeypatch.chdir(tmp_path)
    block.example.document.namespace.clear()  # a reader copies one block, not the page
    with or_skipped():
        block.example.evaluate()


@pytest.mark.parametrize("path", MODULES, ids=[short(path) for path in MODULES])
def test_a_docstrings_examples_run_and_say_what_they_print(
    path: Path, tmp_path: Path, monkeypatch
) -> None:
    """`model.apply(update)` for `apply_update`: torch's own method, which fails."""
    monkeypatch.chdir(tmp_path)
    photographs = folder_of_images(tmp_path / "photographs")
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    with or_skipped():
        module = importlib.import_module(name)
        examples = doctest.DocTestFinder(exclude_empty=True).find(module, name)
        tests = [test for test in examples if test.examples]
        assert tests
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        for test in tests:
            runner = doctest.DebugRunner(optionflags=flags)
            # Only what the example itself imports, and what no example can bring along.
            test.globs = {"__name__": "example", "root": str(photographs)}
            try:
                runner.run(test)
            except doctest.DocTestFailure as failure:
                example, where = failure.example, (failure.test.lineno or 0) + 1
                line = f"{name}:{where + example.lineno}: {example.source.strip()}"
                pytest.fail(f"{line}\n  says  {example.want}  gave  {failure.got}", pytrace=False)
            except doctest.UnexpectedException as failure:
                raise failure.exc_info[1] from None


def test_every_page_that_shows_python_is_looked_at() -> None:
    """A page or a block that the finder passes over would never run."""
    shown = sum(len(re.findall(r"(?m)^```python$", p.read_text(encoding="utf-8"))) for p in PAGES)
    assert len(BLOCKS) == shown > 6


@pytest.mark.parametrize("page", PAGES, ids=[short(page) for page in PAGES])
def test_a_fenced_block_is_python_or_says_that_it_does_not_run(page: Path) -> None:
    """Code under another name (```py, none) is not found by the runner, and rots."""
    fences = re.findall(r"(?m)^ *```(.*)$", page.read_text(encoding="utf-8"))
    assert set(fences[::2]) <= {"python", "text"} and set(fences[1::2]) <= {""}


@pytest.mark.parametrize(
    "path",
    [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))],
    ids=lambda path: short(path),
)
def test_an_example_in_a_docstring_is_written_so_that_it_runs(path: Path) -> None:
    """Python in a docstring without a prompt is run by nobody: Burstprop's `.step(result)`."""
    for text in docstrings(path):
        parts = doctest.DocTestParser().parse(OUTLINE.sub("", text + "\n"))
        prose = "".join(part for part in parts if isinstance(part, str))
        for line in prose.splitlines():
            assert not calls(line.split("  #")[0].strip()), f"{short(path)}: {line.strip()}"


def calls(line: str) -> bool:
    """Whether a line is Python that calls something: `name = call(...)`, `object.method(...)`."""
    for text in (line, re.split(r" {3,}", line)[0]):
        try:
            body = ast.parse(text).body
        except SyntaxError:
            continue
        for node in body:
            call = node.value if isinstance(node, (ast.Assign, ast.Expr)) else None
            method = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
            if isinstance(call, ast.Call) and (method or isinstance(node, ast.Assign)):
                return True
    return False


def test_code_without_a_prompt_is_recognised() -> None:
    """A finder that finds nothing keeps the test above green for good."""
    assert calls("result = net.teach(images, one_hot)    both phases")
    assert calls("BurstUpdate(net, lr=[0.1, 0.01]).step(result)          (`update`)")
    assert not calls("delta = -(b_teacher - b): W learns from (x, delta)")
    assert not calls(">>> net = build(1)")
