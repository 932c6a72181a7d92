"""Streams of an image folder: one order and one set of crops, however they are read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="streams are PyTorch's")
pytest.importorskip("torchvision", reason="its transforms")
from common.data.image_folder import ImageFolder  # noqa: E402
from common.data.torch_stream import IMAGENET_MEAN, IMAGENET_STD, TorchStream  # noqa: E402
from common.data.torchvision_transforms import centre_crop, random_crop, ten_crop  # noqa: E402
from common.errors import UsageError, UserError  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> ImageFolder:
    """Eleven images of three classes to train on, five to test on, of several sizes and modes."""
    root, random = tmp_path_factory.mktemp("images"), np.random.default_rng(3)
    for half, n in (("train", 11), ("val", 5)):
        for i in range(n):
            path = root / half / f"class{i % 3}" / f"{i:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shape = (20 + i, 31, 3) if i % 4 else (24, 18)
            Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(path)
    return ImageFolder(root)


def stream(folder, half="train", transform=None, **options) -> TorchStream:
    options = {"shuffle": half == "train", "seed": 5} | options
    return TorchStream(getattr(folder, half), 4, transform or random_crop(16), **options)


def read(batches) -> list[tuple[np.ndarray, list[int]]]:
    return [(images.numpy(), labels.tolist()) for images, labels in batches]


def assert_same(ours, theirs) -> None:
    assert len(ours) == len(theirs) > 0
    for (a, la), (b, lb) in zip(ours, theirs, strict=True):
        assert la == lb
        np.testing.assert_array_equal(a, b)


def test_workers_and_resuming_do_not_change_a_pixel(folder):
    """A resumed run whose crops differ has other bits, and nobody sees it in the loss."""
    whole = read(stream(folder).epoch(2))
    assert [len(labels) for _, labels in whole] == [4, 4, 3]
    assert_same(read(stream(folder, workers=2).epoch(2)), whole)
    assert_same(read(stream(folder, workers=1).epoch(2, start=1)), whole[1:])


def test_each_epoch_and_each_seed_has_its_own_order_and_crops(folder):
    """One order for ever is no stochastic gradient."""
    first = read(stream(folder).epoch(0))
    for other in (stream(folder).epoch(1), stream(folder, seed=6).epoch(0)):
        batches = read(other)
        assert [labels for _, labels in batches] != [labels for _, labels in first]
        assert not np.array_equal(batches[0][0], first[0][0])


def test_crops_leave_the_generator_of_the_network_alone(folder):
    """Dropout that depends on the number of workers cannot be reproduced."""
    before = torch.get_rng_state()
    read(stream(folder).epoch(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_pixels_are_those_of_torchvision(folder):
    """A second normalisation, or none, costs accuracy that looks like the rule's."""
    from torchvision.transforms import v2

    first = folder.val.paths[0]
    theirs = v2.Compose(
        [
            v2.Resize(18),
            v2.CenterCrop(16),
            v2.PILToTensor(),
            v2.ToDtype(torch.float64, scale=True),
            v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    options = {"dtype": torch.float64, "channels_last": True}
    images, labels = next(stream(folder, "val", centre_crop(16), **options).epoch())
    assert images.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(images[0], theirs(Image.open(first).convert("RGB")), atol=1e-12)
    assert labels.tolist() == folder.val.labels[:4].tolist()


def test_ten_crops_are_five_and_their_mirror_images(folder):
    """Averaging over ten times the same crop is no ten-crop test."""
    images, _ = next(stream(folder, "val", ten_crop(12, 20)).epoch())
    assert images.shape == (4, 10, 3, 12, 12)
    assert len({image.numpy().tobytes() for image in images[0]}) == 10
    mirrored = {image.flip(-1).numpy().tobytes() for image in images[0, :5]}
    assert {image.numpy().tobytes() for image in images[0, 5:]} == mirrored


def test_processes_share_training_batches_equally_and_test_images_completely(folder):
    """Unequal shares leave one process waiting for a sum for ever; a test image that nobody sees or
    that two see is a wrong accuracy."""
    parts = [stream(folder, part=(rank, 2)) for rank in range(2)]
    assert [len(p) for p in parts] == [1, 1]
    whole = [task for part in parts for task in part.plan(1)]
    assert whole == stream(folder).plan(1)[:8]
    tests = [stream(folder, "val", part=(rank, 2)) for rank in range(2)]
    assert sorted(task.image for t in tests for task in t.plan(0)) == list(range(5))
    assert [sum(len(labels) for _, labels in t) for t in tests] == [3, 2]
    with pytest.raises(UsageError, match=r"batch_size \(=4\) must be between 1 and 3"):
        stream(folder, part=(0, 3))


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_image_is_one_line_that_names_it(folder, tmp_path, workers):
    """A traceback from a worker names a lambda and not the file among a million."""
    bad = tmp_path / "bad.jpeg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 no image")
    split = folder.train.take(range(6))
    split = type(split)((*split.paths[:5], str(bad)), split.labels)
    with pytest.raises(UserError, match=r"bad\.jpeg: does not decode as an image") as caught:
        read(TorchStream(split, 4, centre_crop(8), workers=workers).epoch())
    assert "Traceback" not in str(caught.value)


def test_images_in_memory_are_a_source_too(folder):
    """Digits must run through the same pipeline where no image folder is at hand."""
    from common.data.datasets import enlarge, load

    digits = enlarge(load("digits").test, 16, 3)
    images, labels = next(TorchStream(digits, 32, centre_crop(16)).epoch())
    assert images.shape == (32, 3, 16, 16) and labels.tolist() == digits.labels[:32].tolist()
    assert Path(folder.root).is_dir()
