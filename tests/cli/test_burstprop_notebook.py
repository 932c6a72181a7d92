"""The demo notebook: what is stored shows the paper's point, and it runs as it stands."""

import re
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "burstprop/mnist_demo.ipynb"
FIGURES = 4
RESULT = re.compile(
    r"(head|2020): weight angle ([\d.]+) -> ([\d.]+) degrees, "
    r"validation accuracy ([\d.]+) -> ([\d.]+) %"
)


@pytest.fixture
def notebook():
    nbformat = pytest.importorskip("nbformat", reason="notebooks are a matter of the test group")
    return nbformat.read(NOTEBOOK, 4)


def outputs(notebook) -> list:
    return [o for cell in notebook.cells if cell.cell_type == "code" for o in cell.outputs]


def results(notebook) -> dict[str, list[float]]:
    """Revision -> angle before and after, accuracy before and after."""
    text = "".join(o.get("text", "") for o in outputs(notebook))
    return {name: [float(n) for n in numbers] for name, *numbers in RESULT.findall(text)}


def test_the_stored_runs_align_as_both_revisions_do(notebook) -> None:
    """Outputs of another rule, rate or data set beside text that says MNIST (burstprop, D1)."""
    tables = results(notebook)
    before, after, _, accuracy = tables["head"]
    assert before == pytest.approx(90, abs=3) and after < 15 and accuracy > 95
    before, after, first, accuracy = tables["2020"]
    assert before == pytest.approx(90, abs=3) and 38 < after < 46
    assert first < 20 and accuracy == pytest.approx(89.55, abs=2)
    text = "".join(o.get("text", "") for o in outputs(notebook))
    assert text.count("Epoch 10.") == 2


def test_the_stored_figures_are_there_and_no_error_is(notebook) -> None:
    """A notebook saved without its pictures, or with a warning that names somebody's folder."""
    pictures = [o for o in outputs(notebook) if "image/png" in o.get("data", {})]
    assert len(pictures) == FIGURES
    assert all(o.get("name", "stdout") == "stdout" for o in outputs(notebook))
    assert all(o.output_type != "error" for o in outputs(notebook))


def test_the_notebook_runs(notebook, tmp_path, monkeypatch) -> None:
    """A name, an option or a file that has moved on without it."""
    nbclient = pytest.importorskip("nbclient", reason="notebooks are a matter of the test group")
    pytest.importorskip("ipykernel", reason="notebooks are a matter of the test group")
    pytest.importorskip("torch", reason="burstprop trains with torch")
    monkeypatch.setenv("BURSTPROP_DEMO", str(tmp_path / "Demo"))
    monkeypatch.setenv("BURSTPROP_DEMO_OPTIONS", "--data digits --limit-train 640 -n_epochs 2")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    root = str(NOTEBOOK.parents[1])
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": root}}
    ).execute()
    tables = results(notebook)
    assert tables["head"][1] < tables["head"][0] - 5 and tables["2020"][1] < tables["2020"][0]
    assert sum("image/png" in o.get("data", {}) for o in outputs(notebook)) == FIGURES
    assert (tmp_path / "Demo/2020/model.pth").is_file()
