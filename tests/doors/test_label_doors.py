"""The doors for labels themselves: soft rows, devices, compilers; and that no rule lacks one."""

import ast
from pathlib import Path
from typing import Any

import pytest

from common.files import paper_folders

ROOT = Path(__file__).parents[2]
PAPERS = tuple(path.name for path in paper_folders.folders())
TAKEN = {"labels", "target", "targets", "y_true"}  # what our functions call labels
# Functions with such a parameter that are no way into a rule.
OTHERS = {
    "lra_e.deep.figure.draw": "the file to draw to",
    "lra_e.stored.export": "the file to write",
}


def test_every_public_function_that_takes_labels_is_tested_at_the_door():
    """A rule that is added later and takes its labels as they come."""
    pytest.importorskip("torch")
    pytest.importorskip("tensorflow")
    from tests.doors import tf_entries, torch_entries

    tested = {name.split(" ")[0] for name in (*torch_entries.ENTRIES, *tf_entries.ENTRIES)}
    takers = set()
    papers = [path for paper in PAPERS for path in (ROOT / paper).rglob("*.py")]
    for path in (*papers, ROOT / "common" / "backends" / "torch_learner.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        owners: list[tuple[str, Any]] = [("", tree), *((f"{c.name}.", c) for c in classes)]
        for prefix, owner in owners:
            takers |= {f"{module}.{prefix}{name}" for name in _takers(owner)}
    assert len(takers) > 40
    assert takers - set(OTHERS) <= tested
    assert set(OTHERS) <= takers


def _takers(owner: ast.Module | ast.ClassDef) -> list[str]:
    functions = [node for node in owner.body if isinstance(node, ast.FunctionDef)]
    return [
        node.name
        for node in functions
        if not node.name.startswith("_")
        and TAKEN & {a.arg for a in (*node.args.args, *node.args.kwonlyargs)}
    ]


# -- PyTorch --------------------------------------------------------------------------------------


def outputs(batch=3, width=4, **how):
    torch = pytest.importorskip("torch")
    return torch.zeros(batch, width, **how)


@pytest.mark.parametrize("door", ["classes", "rows"])
def test_an_empty_batch_says_that_it_is_empty(door):
    """A mean over nothing is nan, and nan goes into every weight."""
    from common.errors import ArgumentError

    q = outputs(0)
    from common.doors import torch_labels

    with pytest.raises(ArgumentError, match="^labels are of an empty batch"):
        getattr(torch_labels, door)(q.new_zeros(0).long(), q)


def test_soft_rows_stay_what_they_are_and_must_be_distributions():
    """Label smoothing that is cut to classes; rows that sum to 3."""
    torch = pytest.importorskip("torch")
    from common.doors.torch_labels import classes, rows
    from common.errors import ArgumentError

    q = outputs(2)
    soft = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.0, 0.5, 0.5, 0.0]], dtype=torch.float64)
    assert rows(soft, q).equal(soft.float())
    for wrong in (2 * soft, soft - 0.1, soft * float("nan")):
        with pytest.raises(ArgumentError, match="one-hot or a distribution"):
            rows(wrong, q)
    with pytest.raises(ArgumentError, match=r"\(rows\) must be one-hot: a single 1"):
        classes(soft, q)


def test_rates_are_what_each_unit_is_to_give():
    """A multi-label target refused, a single unit's target taken for a class."""
    torch = pytest.importorskip("torch")
    from common.doors.torch_labels import rows
    from common.errors import ArgumentError

    wanted = torch.tensor([[0.1, 0.9, 0.9, 0.1], [0.0, 0.0, 0.0, 0.0]])
    assert rows(wanted, outputs(2), rates=True).equal(wanted)
    one = torch.tensor([[0.0], [1.0]])
    assert rows(one, outputs(2, 1), rates=True).equal(one)
    assert rows(one.long(), outputs(2, 1), rates=True).equal(one)
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        rows(2 * wanted, outputs(2), rates=True)


def test_the_door_waits_for_no_device():
    """`.item()` on a GPU stops the training loop once a step; a meta tensor has no values."""
    torch = pytest.importorskip("torch")
    from common.doors.torch_labels import classes, rows

    q = outputs(3, device="meta")
    labels = torch.zeros(3, 1, dtype=torch.uint8, device="meta")
    assert (classes(labels, q).shape, rows(labels, q).shape) == ((3,), (3, 4))
    assert rows(torch.zeros(3, 4, device="meta"), q).shape == (3, 4)


def test_compiling_breaks_no_graph_and_still_looks():
    """A rule that cannot be compiled whole, or that takes everything once it is."""
    torch = pytest.importorskip("torch")
    from common.doors.torch_labels import classes, rows

    def both(labels, q):
        return rows(labels, q), classes(labels, q)

    compiled = torch.compile(both, fullgraph=True, backend="eager")
    for labels in (torch.tensor([1, 3, 0]), torch.eye(4)[[1, 3, 0]], torch.eye(4).bool()[:3]):
        for a, b in zip(compiled(labels, outputs()), both(labels, outputs()), strict=True):
            assert a.equal(b)
    with pytest.raises(RuntimeError, match="labels hold a class outside 0 to 3"):
        compiled(torch.tensor([1, 4, 0]), outputs())


def test_the_whole_update_of_lra_e_is_one_graph():
    """A door that ends the graph of a compiled step."""
    torch = pytest.importorskip("torch")
    from lra_e.torch_rule import MLP

    model = MLP([6, 5, 4])
    images, labels = torch.randn(3, 6), torch.tensor([1, 3, 0])
    step = torch.compile(
        lambda x, y: model.compute_lra_update(x, y).gW, fullgraph=True, backend="eager"
    )
    for a, b in zip(step(images, labels), model.compute_lra_update(images, labels).gW, strict=True):
        assert a.equal(b)


# -- TensorFlow -----------------------------------------------------------------------------------


def test_a_graph_refuses_a_class_that_is_none_and_xla_makes_it_nan():
    """`tf.one_hot(99, 10)` is a row of zeros, and XLA drops assertions."""
    tf = pytest.importorskip("tensorflow")
    from common.doors.tf_labels import rows

    signature = [tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None, 4))]
    q = tf.zeros((3, 4))
    for compile_ in (False, True):
        step = tf.function(rows, signature, autograph=False, jit_compile=compile_)
        assert (
            (step(tf.constant([1, 3, 0], tf.int64), q) == tf.eye(4).numpy()[[1, 3, 0]])
            .numpy()
            .all()
        )
        wrong = tf.constant([1, 4, 0], tf.int64)
        if compile_:
            assert tf.math.is_nan(step(wrong, q)).numpy().all(1).tolist() == [False, True, False]
        else:
            with pytest.raises(
                tf.errors.InvalidArgumentError, match="labels hold what is no class"
            ):
                step(wrong, q)
            with pytest.raises(
                tf.errors.InvalidArgumentError, match="labels hold what is no class"
            ):
                step(tf.constant([1], tf.int64), q)  # one label for three samples


def test_the_compiled_learner_of_lra_e_refuses_before_xla_forgets():
    """The default of `lra_e.tf_learner` is XLA."""
    tf = pytest.importorskip("tensorflow")
    from common.errors import ArgumentError
    from lra_e.tf_learner import Learner, sgd
    from lra_e.tf_rule import MLP

    learner = Learner(MLP([6, 5, 4]), sgd(0.1))
    before = learner.model.W[0].numpy()
    with pytest.raises(ArgumentError, match="hold class 9"):
        learner.train_step(tf.zeros((2, 6)), tf.constant([9, 0], tf.int64))
    with pytest.raises(ArgumentError, match="empty batch"):
        learner.train_step(tf.zeros((0, 6)), tf.zeros((0,), tf.int64))
    assert (learner.model.W[0].numpy() == before).all()


@pytest.mark.parametrize("by_batch", [False, True])
def test_burstprop_says_that_a_batch_is_empty(by_batch):
    """ "division by zero" by `by_batch`, or a step that decays without learning."""
    torch = pytest.importorskip("torch")
    from burstprop.networks import stack
    from burstprop.update import BurstUpdate
    from common.errors import ArgumentError

    net = stack((), [6, 4, 3])
    update = BurstUpdate(net, [0.1, 0.1], by_batch=by_batch)
    with pytest.raises(ArgumentError, match="^target are of an empty batch"):
        net.two_phase_pass(torch.zeros(0, 6), torch.zeros(0).long())
    result = net.two_phase_pass(torch.zeros(1, 6), torch.zeros(1).long())
    nothing = [t._replace(x=t.x[:0], delta=t.delta[:0]) for t in result.layers]
    with pytest.raises(ArgumentError, match="^results are of an empty batch"):
        update.step(nothing)
