"""One door for labels, in every PyTorch rule: any form gives the bits that classes (B,) give."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="these rules run on torch")
for _name in ("torchvision", "networkx"):
    pytest.importorskip(_name, reason="all papers at once")

from common.doors import torch_labels  # noqa: E402
from tests.doors.torch_entries import ENTRIES, B, C  # noqa: E402

LABELS = torch.tensor([1, 4, 0, 2, 4])
ROWS = torch.nn.functional.one_hot(LABELS, C)
FORMS = {
    "int32": LABELS.int(),
    "uint8": LABELS.byte(),
    "uint16": LABELS.to(torch.uint16),
    "column": LABELS[:, None],
    "column of bytes": LABELS[:, None].byte(),
    "one-hot": ROWS,
    "one-hot of bool": ROWS.bool(),
    "one-hot of bytes": ROWS.byte(),
    "one-hot of float32": ROWS.float(),
    "one-hot of float64": ROWS.double(),
    "array": LABELS.numpy(),
    "array, column of int16": LABELS.numpy()[:, None].astype(np.int16),
    "list": LABELS.tolist(),
}
REFUSED = {
    "a class too high": (torch.tensor([1, 4, 0, 2, 99]), r"hold class 99, .* classes 0 to 4"),
    "a class below 0": (torch.tensor([1, -1, 0, 2, 0]), r"hold class -1, .* classes 0 to 4"),
    "a byte too high": (torch.tensor([1, 4, 0, 2, 9]).byte(), r"hold class 9,"),
    "floats": (LABELS.float(), r"\(shape 5, float32\) must be classes \(5,\) or \(5, 1\)"),
    "bools": (LABELS > 0, r"\(shape 5, bool\) must be classes"),
    "too few": (LABELS[:4], r"\(shape 4, int64\) must be classes \(5,\)"),
    "too many": (torch.cat([LABELS, LABELS]), r"\(shape 10, int64\) must be"),
    "a row": (LABELS[None], r"\(shape 1x5, int64\) must be"),
    "two columns": (ROWS[:, :2], r"\(shape 5x2, int64\) must be"),
    "one number": (torch.tensor(1), r"\(shape \(\), int64\) must be"),
    "rows with two ones": (ROWS | ROWS.roll(1, 1), r"\(rows\) must be one-hot"),
    "rows of classes": (LABELS[:, None].expand(B, C), r"\(rows\) must be one-hot"),
    "rows of nan": (ROWS.float() * float("nan"), r"\(rows\) must"),
    "text": (["a"] * B, r"\(list\) must be classes"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_form_of_labels_gives_the_bits_of_classes(name):
    """A column that is compared with every label, uint8 that selects as a mask, a class that is
    taken for a row: the loss is 104 where 2.3 is right, and training goes on."""
    wanted = ENTRIES[name](LABELS)
    assert wanted
    for form, labels in FORMS.items():
        result = ENTRIES[name](labels)
        same = [torch.equal(a, b) for a, b in zip(result, wanted, strict=True)]
        assert all(same), form


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_no_label_is_refused_in_one_line(name):
    """Label 99 of 10 learns nothing that is meant, and says nothing."""
    for form, (labels, message) in REFUSED.items():
        with pytest.raises(ValueError, match=rf"^(labels|targets?) {message}") as error:
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

    monkeypatch.setattr(torch_labels, "_tensor", stop)
    with pytest.raises(AtTheDoor):
        ENTRIES[name](LABELS)
