"""One door for labels, in every TensorFlow rule: any form gives the bits of classes (B,)."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="these rules run on TensorFlow")

from common.doors import tf_labels  # noqa: E402
from tests.doors.tf_entries import ENTRIES, B, C  # noqa: E402

LABELS = np.array([1, 4, 0, 2, 4], np.int64)
ROWS = np.eye(C, dtype=np.int64)[LABELS]
FORMS = {
    "int64": tf.constant(LABELS),
    "int32": tf.constant(LABELS, tf.int32),
    "uint8": LABELS.astype(np.uint8),
    "column": LABELS[:, None],
    "column of bytes": tf.constant(LABELS[:, None], tf.uint8),
    "as Keras has them": tf.constant(LABELS, tf.float32),
    "column as Keras has it": tf.constant(LABELS[:, None], tf.float32),
    "one-hot": tf.constant(ROWS),
    "one-hot of bool": ROWS.astype(bool),
    "one-hot of float32": tf.constant(ROWS, tf.float32),
    "one-hot of float64": ROWS.astype(np.float64),
    "list": LABELS.tolist(),
}
REFUSED = {
    "a class too high": (np.array([1, 4, 0, 2, 99]), r"hold class 99, .* classes 0 to 4"),
    "a class below 0": (np.array([1, -1, 0, 2, 0]), r"hold class -1, .* classes 0 to 4"),
    "halves": (LABELS + 0.5, r"must be whole numbers"),
    "bools": (LABELS > 0, r"\(shape 5, bool\) must be classes \(5,\) or \(5, 1\)"),
    "too few": (LABELS[:4], r"\(shape 4, int64\) must be classes \(5,\)"),
    "a row": (LABELS[None], r"\(shape 1x5, int64\) must be"),
    "two columns": (ROWS[:, :2], r"\(shape 5x2, int64\) must be"),
    "one number": (np.array(1), r"\(shape \(\), int64\) must be"),
    "rows with two ones": (ROWS | np.roll(ROWS, 1, 1), r"\(rows\) must be one-hot"),
    "rows of nan": (ROWS * np.nan, r"\(rows\) must"),
    "text": (["a"] * B, r"\(shape 5, string\) must be classes"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_form_of_labels_gives_the_bits_of_classes(name):
    """A column that is compared with every label, one-hot rows that are taken for classes."""
    wanted = ENTRIES[name](LABELS)
    assert wanted
    for form, labels in FORMS.items():
        result = ENTRIES[name](labels)
        assert all(np.array_equal(a, b) for a, b in zip(result, wanted, strict=True)), form


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_no_label_is_refused_in_one_line(name):
    """Label 99 of 10 is a row of zeros for `tf.one_hot`: it learns what nobody meant."""
    for form, (labels, message) in REFUSED.items():
        with pytest.raises(ValueError, match=rf"^(labels|y_true) {message}") as error:
            ENTRIES[name](labels)
            pytest.fail(f"{form} went in")
        assert "\n" not in str(error.value), form


@pytest.mark.parametrize("name", ENTRIES)
def test_every_rule_goes_through_the_door(name, monkeypatch):
    """A rule that looks at its labels by itself."""

    class AtTheDoor(Exception):
        pass

    def stop(*_):
        raise AtTheDoor

    monkeypatch.setattr(tf_labels, "_tensor", stop)
    with pytest.raises(AtTheDoor):
        ENTRIES[name](LABELS)
