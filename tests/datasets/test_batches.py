"""Device-resident batches of both frameworks against a plain loop over numpy images."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from common.data.batches import Batches, Plan, draw_plan
from common.data.datasets import Split
from common.errors import UsageError

CLASSES = {"torch": "TorchBatches", "tf": "TFBatches"}
FRAMEWORK = {"torch": "torch", "tf": "tensorflow"}
SMALL = 4 * 3 * 7 * 6 * 1  # bytes of three grey float images 7 x 6

Make = Callable[..., Batches]


@pytest.fixture(params=sorted(CLASSES))
def make(request) -> Make:
    """The framework's class; `dtype` is given by name."""
    framework = pytest.importorskip(FRAMEWORK[request.param], reason="needs the framework")
    cls = getattr(
        importlib.import_module(f"common.data.{request.param}_batches"), CLASSES[request.param]
    )

    def batches(split: Split, size: int, *, dtype: str = "float32", **options: Any) -> Batches:
        return cls(split, size, dtype=getattr(framework, dtype), **options)

    return batches


def split_of(n: int, shape: tuple[int, int, int]) -> Split:
    random = np.random.RandomState(n)
    return Split(random.randint(0, 256, (n, *shape), dtype=np.uint8), random.randint(0, 9, n))


def host(pair: tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (t.numpy() for t in pair)
    return images, labels


def naive(
    split: Split,
    plan: Plan,
    *,
    pad: int = 0,
    mean: Any = 0.0,
    std: Any = 1.0,
    layout: str = "NHWC",
    dtype: str = "float32",
) -> tuple[np.ndarray, np.ndarray]:
    """All images and labels of an epoch, one image after another."""
    _, height, width, channels = split.images.shape
    number = np.dtype(dtype).type
    out = []
    for position, index in enumerate(plan.order):
        image = np.zeros((height + 2 * pad, width + 2 * pad, channels), np.uint8)
        image[pad : pad + height, pad : pad + width] = split.images[index]
        row, column = plan.offsets[position] if plan.offsets is not None else (0, 0)
        image = image[row : row + height, column : column + width]
        if plan.flips is not None and plan.flips[position]:
            image = image[:, ::-1]
        if np.any(mean) or np.any(np.asarray(std) != 1):
            # One product and one difference of rounded constants, as `Batches.affine` says.
            a, b = 1 / (255 * np.asarray(std)), np.asarray(mean) / np.asarray(std)
            scaled = image.astype(dtype) * a.astype(dtype) - b.astype(dtype)
            exact = (image / 255 - np.asarray(mean)) / np.asarray(std)
            assert np.abs(scaled - exact).max() < (1e-6 if dtype == "float32" else 1e-14)
        else:
            scaled = image.astype(dtype) / number(255)
        out.append(scaled)
    images = np.stack(out)
    if layout == "NCHW":
        images = images.transpose(0, 3, 1, 2)
    return images.reshape(len(images), -1) if layout == "flat" else images, split.labels[plan.order]


def assert_same(batches: Batches, images: np.ndarray, labels: np.ndarray, epoch: int) -> None:
    """The batches of an epoch are these arrays, cut, to the last bit."""
    low = 0
    for got_images, got_labels in map(host, batches.epoch(epoch)):
        high = low + len(got_labels)
        assert got_images.dtype == images.dtype and got_labels.dtype == np.int64
        np.testing.assert_array_equal(got_images, images[low:high], strict=True)
        np.testing.assert_array_equal(got_labels, labels[low:high])
        low = high
    assert low == len(labels)


RGB = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.247, 0.2435, 0.2616)}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "flat"])
@pytest.mark.parametrize(
    "shape, options",
    [
        ((7, 6, 1), {}),
        ((7, 6, 1), {"mean": 0.1307, "std": 0.3081}),
        ((7, 6, 1), {"std": 0.3081}),
        ((7, 6, 1), {"mean": 0.1307, "pad": 2}),
        ((5, 8, 3), {"flip": True}),
        ((5, 8, 3), {"pad": 3, **RGB}),
        ((5, 8, 3), {"pad": 2, "flip": True, **RGB}),
    ],
)
def test_pixels_are_those_of_a_plain_loop_to_the_last_bit(make, shape, options, layout, dtype):
    """Catches a wrong crop, mirror or constant, and a compiler that turns x / 255 into a product:
    then the frameworks would train on different pixels."""
    split = split_of(23, shape)
    how = {"shuffle": True, "seed": 5, "layout": layout, "dtype": dtype, **options}
    batches = make(split, 4, chunk_bytes=3 * SMALL, **how)
    constants = {k: v for k, v in options.items() if k != "flip"}
    for epoch in (0, 3):
        plan = batches.plan(epoch)
        images, labels = naive(split, plan, layout=layout, dtype=dtype, **constants)
        assert_same(batches, images, labels, epoch)


def test_half_precision_rounds_alike_in_both_frameworks():
    """Catches pixels that one framework normalises in bfloat16 and the other rounds afterwards."""
    torch = pytest.importorskip("torch", reason="compares both frameworks")
    tf = pytest.importorskip("tensorflow", reason="compares both frameworks")
    from common.data.tf_batches import TFBatches
    from common.data.torch_batches import TorchBatches

    split = split_of(10, (5, 8, 3))
    how: dict[str, Any] = {"pad": 1, "flip": True, **RGB}
    ours = TorchBatches(split, 4, dtype=torch.bfloat16, **how)
    theirs = TFBatches(split, 4, dtype=tf.bfloat16, **how)
    for (a, _), (b, _) in zip(ours.epoch(2), theirs.epoch(2), strict=True):
        assert a.dtype == torch.bfloat16 and b.dtype == tf.bfloat16
        np.testing.assert_array_equal(a.float().numpy(), tf.cast(b, tf.float32).numpy())


@pytest.mark.parametrize("pad, flip", [(0, False), (2, False), (0, True), (4, True)])
def test_plan_is_drawn_in_turn_from_seed_and_epoch_alone(pad, flip):
    """Catches draws that depend on earlier draws: a resumed epoch would see other images."""
    plan = draw_plan(50, 7, 3, pad=pad, flip=flip)
    draw_plan(50, 7, 4, pad=pad, flip=flip)
    rng = np.random.Generator(np.random.PCG64([7, 3]))
    np.testing.assert_array_equal(plan.order, rng.permutation(50))
    if plan.offsets is not None:
        assert pad
        np.testing.assert_array_equal(plan.offsets, rng.integers(0, 2 * pad + 1, (50, 2)))
        assert plan.offsets.min() == 0 and plan.offsets.max() == 2 * pad
    else:
        assert not pad
    if plan.flips is not None:
        assert flip
        np.testing.assert_array_equal(plan.flips, rng.integers(0, 2, 50).astype(bool))
        assert 10 < plan.flips.sum() < 40
    else:
        assert not flip
    assert not np.array_equal(plan.order, draw_plan(50, 7, 4).order)
    assert not np.array_equal(plan.order, draw_plan(50, 8, 3).order)
    np.testing.assert_array_equal(draw_plan(50, 7, 3, shuffle=False).order, np.arange(50))


@pytest.mark.parametrize(
    "n, size, drop_last, expected",
    [
        (23, 4, False, [4, 4, 4, 4, 4, 3]),
        (23, 4, True, [4, 4, 4, 4, 4]),
        (24, 4, False, [4] * 6),
        (24, 4, True, [4] * 6),
        (3, 5, False, [3]),
        (5, 5, True, [5]),
    ],
)
@pytest.mark.parametrize("images_a_chunk", [1, 9, 1000])
def test_last_batch_is_kept_or_dropped(make, n, size, drop_last, expected, images_a_chunk):
    """Catches images lost or repeated at the end of an epoch or where chunks meet."""
    chunk = images_a_chunk * SMALL // 3
    split = split_of(n, (7, 6, 1))
    batches = make(split, size, shuffle=True, drop_last=drop_last, chunk_bytes=chunk)
    assert [len(labels) for _, labels in map(host, batches.epoch(1))] == expected
    assert len(batches) == len(expected)
    plan = batches.plan(1)
    images, labels = naive(split, plan)
    assert_same(batches, images[: sum(expected)], labels[: sum(expected)], 1)


def test_epoch_can_begin_at_any_batch(make):
    """Catches a resumed epoch that begins at another image, crop or mirror than it was left at."""
    how = {"shuffle": True, "pad": 1, "flip": True, "chunk_bytes": 5 * SMALL}
    batches = make(split_of(31, (7, 6, 1)), 4, **how)
    whole = list(map(host, batches.epoch(2)))
    for start in range(len(batches) + 1):
        rest = list(map(host, batches.epoch(2, start)))
        assert len(rest) == len(batches) - start
        for (a, labels_a), (b, labels_b) in zip(rest, whole[start:], strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(labels_a, labels_b)


def test_processes_share_the_large_batches_among_them(make):
    """Catches ranks that see the same images twice, or other images than one process would see."""
    split = split_of(29, (7, 6, 1))
    how = {"shuffle": True, "pad": 1, "flip": True, "seed": 3}
    single = [host(b) for b in make(split, 6, drop_last=True, **how).epoch(1)]
    parts = [[host(b) for b in make(split, 2, part=(r, 3), **how).epoch(1)] for r in range(3)]
    assert [len(part) for part in parts] == [4, 4, 4]
    for number, (images, labels) in enumerate(single):
        mine = [part[number] for part in parts]
        np.testing.assert_array_equal(np.concatenate([m[0] for m in mine]), images)
        np.testing.assert_array_equal(np.concatenate([m[1] for m in mine]), labels)


def test_own_order_replaces_the_drawn_one_and_may_be_a_subset(make):
    """Catches an original's stream of images that is read but not obeyed."""
    split = split_of(12, (7, 6, 1))
    orders = {0: np.arange(12)[::-1], 1: np.tile([3, 1, 2], 4)}
    batches = make(split, 5, shuffle=True, order=orders.__getitem__)
    for epoch, order in orders.items():
        images, labels = naive(split, Plan(order, None, None))
        assert_same(batches, images, labels, epoch)
    shorter = make(split, 5, drop_last=True, order=lambda epoch: np.arange(10))
    assert_same(shorter, *naive(split, Plan(np.arange(10), None, None)), 0)


@pytest.mark.parametrize(
    "order", [np.arange(11), np.arange(12) + 1, np.arange(12) - 1, np.arange(12).reshape(3, 4), []]
)
def test_own_order_that_cannot_be_is_refused(make, order):
    """Catches an index beyond the split: a gather that wraps around or reads what it should not."""
    batches = make(split_of(12, (7, 6, 1)), 5, order=lambda epoch: order)
    with pytest.raises(UsageError, match="order of epoch 4"):
        next(iter(batches.epoch(4)))


def test_own_order_must_serve_all_processes(make):
    """Catches a rank that silently gets fewer batches than the others wait for."""
    split = split_of(12, (7, 6, 1))
    with pytest.raises(UsageError, match="order of epoch 0"):
        list(make(split, 2, part=(1, 3), order=lambda epoch: np.arange(6)))
    parts = [make(split, 2, part=(r, 3), order=lambda e: np.arange(12)[::-1]) for r in range(3)]
    seen = [np.concatenate([host(b)[1] for b in part]) for part in parts]
    np.testing.assert_array_equal(seen[1], split.labels[[9, 8, 3, 2]])
    assert [len(labels) for labels in seen] == [4, 4, 4]


def test_source_stays_as_it_was_and_batches_do_not_alias_it(make):
    """Catches normalisation in place: the second epoch would see pixels normalised twice."""
    split = split_of(12, (7, 6, 1))
    before = split.images.copy(), split.labels.copy()
    batches = make(split, 5, mean=0.5, std=0.5)
    first = [tuple(a.copy() for a in host(b)) for b in batches.epoch(0)]
    for images, _ in batches.epoch(0):
        if hasattr(images, "zero_"):
            images.zero_()
    for (a, labels_a), (b, labels_b) in zip(first, map(host, batches), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(labels_a, labels_b)
    np.testing.assert_array_equal(split.images, before[0])
    np.testing.assert_array_equal(split.labels, before[1])


@pytest.mark.parametrize(
    "size, options, named",
    [
        (0, {}, r"batch_size \(=0\)"),
        (13, {"drop_last": True}, r"batch_size \(=13\)"),
        (7, {"part": (0, 2)}, r"batch_size \(=7\)"),
        (4, {"layout": "CHWN"}, r"layout \(=CHWN\) must be one of NHWC, NCHW, flat"),
    ],
)
def test_sizes_that_cannot_be_are_refused(make, size, options, named):
    """Catches an epoch without a batch, which would pass for a trained one."""
    with pytest.raises(UsageError, match=named):
        make(split_of(12, (7, 6, 1)), size, **options)


def test_tensorflow_compiles_a_full_chunk_and_the_last_one_only(monkeypatch):
    """Catches retracing in every epoch, which would cost more than the training."""
    pytest.importorskip("tensorflow", reason="counts its traces")
    from common.data.tf_batches import TFBatches

    traced = []
    original = TFBatches._batches_of

    def counted(self, drawn, constants):
        traced.append(int(drawn[0].shape[0]))
        return original(self, drawn, constants)

    monkeypatch.setattr(TFBatches, "_batches_of", counted)
    how = {"shuffle": True, "pad": 1, "flip": True, "chunk_bytes": 9 * SMALL // 3}
    batches = TFBatches(split_of(31, (7, 6, 1)), 4, **how)
    for epoch in range(3):
        assert len(list(batches.epoch(epoch, start=epoch))) == 8 - epoch
    assert traced == [8, 7]
