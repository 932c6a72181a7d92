"""The published files themselves, against the figures that are known of them."""

from pathlib import Path

import numpy as np
import pytest

from common.data.datasets import Dataset, load
from common.errors import UserError

pytestmark = pytest.mark.data

MNIST_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
MNIST_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def present(name: str, root: str) -> Dataset:
    try:
        return load(name, root, download=False)
    except UserError as error:
        if "looked at" not in str(error):
            raise
        pytest.skip(f"{name} is not in CREDITLAB_DATA")


def mean_and_std(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Of x / 255 by channel, to four places, from exact integer sums."""
    pixels = data.train.images.reshape(-1, data.shape[2])
    count = len(pixels)
    sums = pixels.sum(axis=0, dtype=np.int64)
    squares = np.array([np.square(c, dtype=np.int64).sum() for c in pixels.T])
    mean = sums / count
    std = np.sqrt(squares / count - mean**2)
    return np.round(mean / 255, 4), np.round(std / 255, 4)


def test_mnist_has_the_published_counts_and_moments(data_root):
    """Wrong byte order or a shifted header leaves counts or moments that differ."""
    data = load("mnist", data_root, download=False)
    assert data.train.images.shape == (60000, 28, 28, 1)
    assert data.test.images.shape == (10000, 28, 28, 1)
    assert np.bincount(data.train.labels).tolist() == MNIST_TRAIN
    assert np.bincount(data.test.labels).tolist() == MNIST_TEST
    mean, std = mean_and_std(data)
    assert (mean[0], std[0]) == (0.1307, 0.3081)
    raw = data.checksums.get("train-images-idx3-ubyte")
    assert raw in (None, "6bbc9ace898e44ae57da46a324031adb")


def test_fashion_mnist_has_the_published_counts_and_moments(data_root):
    """MNIST read for Fashion-MNIST has the same shapes."""
    data = present("fashion_mnist", data_root)
    assert np.bincount(data.train.labels).tolist() == [6000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    mean, std = mean_and_std(data)
    assert (mean[0], std[0]) == (0.2860, 0.3530)


def test_cifar10_has_the_published_counts_and_moments(data_root):
    """Channels in another order exchange the three means."""
    data = present("cifar10", data_root)
    assert data.shape == (32, 32, 3)
    assert np.bincount(data.train.labels).tolist() == [5000] * 10
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    assert data.classes[0] == "airplane" and data.classes[9] == "truck"
    mean, std = mean_and_std(data)
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=1e-4)
    np.testing.assert_allclose(std, [0.2470, 0.2435, 0.2616], atol=1e-4)


def test_tiny_imagenet_or_its_subset_is_balanced(data_root):
    """Labels that come from another order of the classes lose the balance of the halves."""
    data = present("tiny_imagenet", data_root)
    assert data.shape == (64, 64, 3)
    assert np.bincount(data.train.labels).tolist() == [500] * data.n_classes
    assert np.bincount(data.test.labels).tolist() == [50] * data.n_classes
    folder = next(Path(data_root).glob("*/wnids.txt")).parent
    assert len((folder / "wnids.txt").read_text().split()) == data.n_classes
