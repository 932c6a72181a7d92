"""The angles that a reader will trust: against geometry that is known."""

import math

import numpy as np
import pytest

from common.credit.angles import cosine, credit_angles, degrees, weight_angles


def test_the_angle_between_known_vectors():
    """A cosine without its norms, or radians for degrees."""
    assert cosine(np.array([1.0, 0.0]), np.array([1.0, 1.0])) == pytest.approx(math.sqrt(0.5))
    assert degrees(math.sqrt(0.5)) == pytest.approx(45)
    assert degrees(cosine(np.array([[2.0, 0], [0, 0]]), np.array([[0, 3.0], [0, 0]]))) == 90
    assert degrees(cosine(np.array([1.0, 2.0]), np.array([-2.0, -4.0]))) == pytest.approx(180)


def test_tiny_and_huge_vectors_keep_their_angle():
    """Squares underflow: at 1e-200 the norm is zero and the cosine a division by it."""
    a, b = np.array([3e-200, 4e-200]), np.array([4e200, 3e200])
    assert cosine(a, b) == pytest.approx(24 / 25)


def test_rounding_never_leaves_the_range():
    """acos(1.0000000000000002) is not a number."""
    a = np.full(7, 0.1)
    value = cosine(a, a * 3)
    assert value is not None and value <= 1.0 and degrees(value) is not None


@pytest.mark.parametrize("bad", [np.zeros(3), np.array([1.0, np.nan, 0]), np.array([np.inf, 1, 1])])
def test_no_angle_where_there_is_none(bad):
    """Zero reported as 90 degrees: a dead layer that looks like a random one."""
    assert cosine(bad, np.ones(3)) is None and cosine(np.ones(3), bad) is None


def test_shapes_must_agree():
    """A transposed feedback matrix of equal size would give a plausible, wrong angle."""
    with pytest.raises(ValueError, match="shapes"):
        cosine(np.ones((2, 3)), np.ones((3, 2)))


def test_a_layers_line_holds_cosine_norm_ratio_and_flag():
    """The ratio upside down; a layer in the noise that is not marked."""
    gradient = np.array([3.0, 4.0], np.float32)
    noise = np.array([1e-9, 0], np.float32)
    angles = credit_angles(
        {"W1": (noise, noise), "W2": (2 * gradient, gradient), "W3": (gradient, 0 * gradient)},
        np.asarray,
    )
    assert angles["W2"] == {
        "cosine": pytest.approx(1),
        "angle": pytest.approx(0, abs=0.1),
        "norm_ratio": pytest.approx(2),
        "reference_norm": pytest.approx(5),
        "too_small": False,
    }
    assert angles["W1"]["too_small"] and angles["W3"]["too_small"]
    assert angles["W3"]["cosine"] is None and angles["W3"]["norm_ratio"] is None


def test_weight_angles_compare_in_one_layout():
    """Forward and feedback weights of one layer."""
    W = np.array([[1.0, 0], [0, 0]])
    angles = weight_angles({"E2": (W, -W), "E3": (W, np.eye(2))}, np.asarray)
    assert angles["E2"] == {"cosine": -1.0, "angle": 180.0}
    assert angles["E3"]["angle"] == pytest.approx(45)
