"""The door: names, digits, limits, enlargement. The oracle is the rule as DESIGN.md states it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.data import digits
from common.data.datasets import NAMES, Split, enlarge, load
from common.errors import UsageError, UserError, unknown
from common.files.paths import data_root


def numbered(n: int, side: int = 2, channels: int = 1) -> Split:
    """Images that all differ, labelled with their own index."""
    size = side * side * channels
    images = np.arange(n * size, dtype=np.uint8).reshape(n, side, side, channels)
    return Split(images, np.arange(n, dtype=np.int64))


def test_digits_are_scikit_learns_in_the_stated_order_and_scale():
    """A changed order or scale makes every digits number of the project irreproducible."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(1797)
    data = load("digits")
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert data.shape == (8, 8, 1) and data.n_classes == 10
    for split, chosen in ((data.train, order[:1437]), (data.test, order[1437:])):
        expected = [[round(255 * x / 16) for x in row] for row in pixels[chosen]]
        np.testing.assert_array_equal(split.images.reshape(-1, 64), expected)
        np.testing.assert_array_equal(split.labels, labels[chosen])
    assert list(data.checksums) == ["digits.csv.gz"]


def test_digits_are_the_same_when_scikit_learn_moves_its_table(monkeypatch):
    """A future scikit-learn with another folder layout would take the default data set away."""
    direct = load("digits")
    monkeypatch.setattr(digits, "_packaged", lambda: None)
    through = load("digits")
    np.testing.assert_array_equal(direct.train.images, through.train.images)
    np.testing.assert_array_equal(direct.test.labels, through.test.labels)


def test_a_limit_takes_the_first_of_the_fixed_permutation():
    """A limit that takes the first rows of a sorted set trains on one class only."""
    split = numbered(20)
    chosen = np.random.RandomState(0).permutation(20)[:7]
    np.testing.assert_array_equal(split.limit(7).labels, chosen)
    np.testing.assert_array_equal(split.limit(7).images, split.images[chosen])
    assert split.limit(None) is split
    assert sorted(split.limit(20).labels) == list(range(20))


@pytest.mark.parametrize("n", [0, -1, 21])
def test_a_limit_outside_the_set_names_the_option_and_the_size(n):
    """Zero or too many images would otherwise surface as NaN or as a silently smaller set."""
    with pytest.raises(UsageError, match=rf"^limit_test \(={n}\) .*20") as caught:
        numbered(20).limit(n, "limit_test")
    assert caught.value.code == 2


def test_taking_images_does_not_share_memory():
    """A paper that edits its hold-out would otherwise edit the training set."""
    split = numbered(4)
    split.take([1, 2]).images[:] = 255
    assert split.images.max() < 255


def test_enlarging_repeats_pixels_then_pads_with_zeros_and_repeats_grey():
    """Interpolation or an off-centre image changes every number that a convolution gives."""
    split = numbered(3)
    large = enlarge(split, 7, channels=3)
    assert large.images.shape == (3, 7, 7, 3) and large.images.dtype == np.uint8
    expected = np.zeros((7, 7), np.uint8)
    expected[:6, :6] = np.kron(split.images[2, :, :, 0], np.ones((3, 3), np.uint8))
    for channel in range(3):
        np.testing.assert_array_equal(large.images[2, :, :, channel], expected)
    np.testing.assert_array_equal(large.labels, split.labels)


def test_enlarging_digits_to_28_puts_a_margin_of_two_around_24():
    """The commonest use: 8x8 becomes 24x24, centred in the input of an MNIST network."""
    data = load("digits")
    large = enlarge(data.test, 28).images
    assert large.shape == (360, 28, 28, 1)
    np.testing.assert_array_equal(large[:, 2:26:3, 2:26:3], data.test.images)
    np.testing.assert_array_equal(large[:, 4:26:3, 4:26:3], data.test.images)
    assert not large[:, :2].any() and not large[:, 26:].any()
    assert not large[:, :, :2].any() and not large[:, :, 26:].any()


def test_enlarging_keeps_colours_and_refuses_what_does_not_fit():
    """Cutting an image down or dropping colours silently would be a different data set."""
    split = numbered(2, side=3, channels=3)
    np.testing.assert_array_equal(enlarge(split, 3).images, split.images)
    with pytest.raises(UserError, match="3x3 do not fit"):
        enlarge(split, 2)
    with pytest.raises(UserError, match="channels"):
        enlarge(split, 3, channels=1)


def test_an_unknown_name_is_a_usage_error_with_the_nearest_spelling():
    """A typing error must not end in a traceback or in the wrong data set."""
    with pytest.raises(UsageError, match=r"^dataset \(=cifr10\) .*did you mean cifar10\?$"):
        load("cifr10")
    with pytest.raises(UsageError, match=r"did you mean fashion_mnist\?$"):
        load("Fashion-MNIST")
    with pytest.raises(UsageError) as caught:
        load("zzz")
    assert all(name in str(caught.value) for name in NAMES)
    assert "did you mean" not in str(caught.value)


def test_an_error_is_one_line():
    """A library's message quoted in ours may span lines; the command line shows one."""
    assert "\n" not in str(UserError("first\nsecond"))
    assert unknown("rule", "x", ["bp"]).code == 2 and UserError("x").code == 1


def test_the_root_is_the_argument_then_the_variable_then_data(monkeypatch):
    """Reading another root than the one that was named trains on other files."""
    monkeypatch.setenv("CREDITLAB_DATA", "from_variable")
    assert data_root("given") == Path("given")
    assert data_root() == Path("from_variable")
    monkeypatch.delenv("CREDITLAB_DATA")
    assert data_root() == Path("data")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64)),
        (np.zeros((2, 4, 4, 1), np.float32), np.zeros(2, np.int64)),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.uint8)),
        (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, np.int64)),
    ],
)
def test_a_split_of_another_form_cannot_be_made(images, labels):
    """uint8 labels overflow at 256 and float images are normalised twice, both without a sound."""
    with pytest.raises(ValueError, match="must be"):
        Split(images, labels)


def test_importing_the_door_loads_no_framework_and_no_heavy_library():
    """`--help` has to answer at once, and a TensorFlow paper has to run without torch."""
    code = (
        "import sys, common.data.datasets, common.data.image_folder\n"
        "heavy = {'torch', 'tensorflow', 'jax', 'sklearn', 'scipy', 'PIL', 'pooch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
