"""A number that is none, in a file of a run of LRA-E's study of depth: one line, or left out."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from lra_e.depth import main
from tests.reports.conftest import epoch

# file -> keys whose values become NaN, one at a time
PLACES = {
    "config.json": ("seed", "epochs", "lr", "layers", "dataset", "rule", "paper"),
    "summary.json": ("seed", "seconds", "status", "rule"),
    "metrics.jsonl": ("test_accuracy", "train_accuracy", "epoch", "step", "angle", "credit"),
    "environment.json": ("cores", "processor", "git_commit"),
}


def spoilt(document: Any, key: str, value: float) -> Any:
    """The document with the value wherever the key is."""
    if isinstance(document, list):
        return [spoilt(item, key, value) for item in document]
    if not isinstance(document, dict):
        return document
    return {k: value if k == key else spoilt(v, key, value) for k, v in document.items()}


@pytest.mark.parametrize(("file", "key"), [(f, key) for f, keys in PLACES.items() for key in keys])
@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), -float("inf")], ids=str)
def test_a_number_that_is_none_is_one_line(tmp_path: Path, make_run, file, key, nothing):
    """NaN in a run's files: a traceback out of JSON, an axis without limits, or a cell "nan"."""
    folder = tmp_path / "digits" / "h1-lra_e" / "seed-1"
    audit = {"kind": "audit", "epoch": 1, "step": 10, "credit": {"W1": {"angle": 12.0}}}
    lines = [{**audit, "feedback": {}}, {**epoch(1, 90.0), "step": 10}]
    make_run(folder, lines, options={"layers": [784, 256, 10], "lr": 0.1})
    documents = [json.loads(line) for line in (folder / file).read_text().splitlines()]
    changed = [spoilt(document, key, nothing) for document in documents]
    assert changed != documents
    (folder / file).write_text("\n".join(map(json.dumps, changed)) + "\n")
    try:
        main.main(["--only-figure", "--out", str(tmp_path)], standalone_mode=False)
    except UserError as error:
        assert "\n" not in str(error) and str(folder) in str(error)
    else:
        assert not {"nan", "infinity"} & set(
            (tmp_path / "depth.json").read_text().lower().replace('"', " ").split()
        )


@pytest.mark.parametrize("words", ["--seeds nan", "--epochs nan", "--depth inf", "--threads nan"])
def test_an_option_that_is_no_number_is_one_line(words: str, tmp_path: Path):
    """A count of NaN epochs."""
    with pytest.raises(UserError, match=r"=(nan|inf)\) must be an integer"):
        main.main([*words.split(), "--out", str(tmp_path)], standalone_mode=False)
