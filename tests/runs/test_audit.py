"""What an audit is measured on, and what its line says."""

import math

import numpy as np
import pytest

from common.credit import audit as module
from common.credit.audit import Audits, audit, named
from common.data.batches import Batches
from common.data.datasets import Split
from tests.helpers.records import metrics

torch = pytest.importorskip("torch", reason="batches of torch")


def numbered(n: int, size: int = 4) -> Split:
    """Images whose every pixel is the image's number."""
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, size, size, 1))
    return Split(np.ascontiguousarray(images), np.arange(n) % 10)


class Backend:
    """numpy as a backend, whose generator counts how often it is put back."""

    put_back = 0

    @staticmethod
    def rng_state():
        return 7

    def load_rng_state(self, state):
        assert state == 7
        self.put_back += 1

    @staticmethod
    def to_numpy(array):
        return np.asarray(array)


class Turned:
    """A learner whose update in a batch stands at the angle that the batch's images say."""

    def __init__(self):
        self.backend, self.seen = Backend(), []

    def credit(self, images, labels):
        self.seen.append(np.asarray(images))
        turn = math.radians(float(np.asarray(images).mean()))
        update = np.array([math.cos(turn), math.sin(turn)], np.float32)
        return {"W": (update, np.array([1.0, 0.0], np.float32))}


def test_a_line_says_angle_of_the_mean_and_spread_over_batches():
    """One batch's angle told as the network's: it scatters by 27 degrees."""
    turns = (10.0, 50.0, 30.0)
    batches = [(np.full((4, 1), turn), np.zeros(4)) for turn in turns]
    learner = Turned()
    result = audit(learner, batches)
    assert (result["images"], result["batches"]) == (12, 3)
    line = result["credit"]["W"]
    assert line["angle"] == pytest.approx(30.0, abs=1e-4)
    # Three unit vectors at 10, 50 and 30 degrees add up to 1 + 2 cos 20.
    assert line["norm_ratio"] == pytest.approx((1 + 2 * math.cos(math.radians(20))) / 3)
    assert line["angle_mean"] == pytest.approx(30.0, abs=1e-4)
    assert line["angle_spread"] == pytest.approx(20.0, abs=1e-4)
    cosines = [math.cos(math.radians(turn)) for turn in turns]
    assert line["cosine_mean"] == pytest.approx(np.mean(cosines))
    assert line["cosine_spread"] == pytest.approx(np.std(cosines, ddof=1))
    assert line["reference_norm"] == pytest.approx(1) and line["too_small"] is False
    assert "feedback" not in result and learner.backend.put_back == 1


def test_one_batch_has_an_angle_and_no_spread():
    """A spread of zero, as if the angle were sure."""
    line = audit(Turned(), [(np.full((4, 1), 20.0), np.zeros(4))])["credit"]["W"]
    assert line["angle"] == line["angle_mean"] == pytest.approx(20.0, abs=1e-4)
    assert line["angle_spread"] is None and line["cosine_spread"] is None


def test_batches_count_by_their_images():
    """A short batch that weighs as much as a whole one."""
    batches = [(np.zeros((9, 1)), np.zeros(9)), (np.full((1, 1), 90.0), np.zeros(1))]
    line = audit(Turned(), batches)["credit"]["W"]
    assert line["angle"] == pytest.approx(math.degrees(math.atan2(1, 9)), abs=1e-4)


def framework(name):
    pytest.importorskip(name)
    if name == "torch":
        from common.data.torch_batches import TorchBatches

        return TorchBatches
    from common.data.tf_batches import TFBatches

    return TFBatches


def images_of(batches) -> list[list[int]]:
    return [(np.asarray(x)[:, 1, 1, 0] * 255).round().astype(int).tolist() for x, _ in batches]


@pytest.mark.parametrize("name", ["torch", "tensorflow"])
def test_the_sample_is_the_same_whatever_the_order_of_training(name):
    """Other images at every audit: their difference drawn as a change of the network."""
    kind, split = framework(name), numbered(50)
    order = np.random.RandomState(0).permutation(50)
    expected = [order[:7].tolist(), order[7:14].tolist()]
    for how in (
        {"seed": 1},
        {"seed": 2, "shuffle": True},
        {"shuffle": True, "part": (1, 2)},
        {"pad": 2, "flip": True, "seed": 3, "shuffle": True},
    ):
        train = kind(split, 7, **how)
        sample = named(train, 20)
        assert images_of(sample) == images_of(sample) == expected
        images, labels = next(iter(sample))
        assert np.asarray(labels).tolist() == [i % 10 for i in expected[0]]
        assert np.asarray(images).shape == (7, 4, 4, 1)  # not cropped into another place
        assert (np.asarray(images)[0] == np.asarray(images)[0, 0, 0, 0]).all()


@pytest.mark.parametrize(
    ("asked", "size", "expected"),
    [(512, 128, [128] * 4), (512, 29, [29] * 17), (20, 64, [20]), (512, 600, [300]), (1, 8, [1])],
)
def test_the_sample_comes_in_whole_batches_of_the_runs_size(asked, size, expected):
    """The ragged end of an epoch: 29 images whose angle scatters by 27 degrees, or one image that
    batch norm refuses."""
    train = framework("torch")(numbered(300 if asked > 20 and size > 512 else 600), size)
    assert [len(labels) for _, labels in named(train, asked)] == expected


def test_the_sample_looks_like_training(monkeypatch):
    """Other means, another layout or type than what the network learns from."""
    split = numbered(30)
    train = framework("torch")(split, 5, mean=0.5, std=0.25, layout="NCHW", dtype=torch.float64)
    images, _ = next(iter(named(train, 5)))
    first = np.random.RandomState(0).permutation(30)[0]
    assert images.dtype == torch.float64 and images.shape == (5, 1, 4, 4)
    assert images[0, 0, 0, 0].item() == pytest.approx((first / 255 - 0.5) / 0.25)


def test_a_stream_shows_the_same_crops_of_the_same_images():
    """Crops drawn anew at every audit; a sample that has the workers read it."""
    from common.data.torch_stream import TorchStream
    from common.data.torchvision_transforms import random_crop

    split = Split(
        np.random.RandomState(1).randint(0, 255, (20, 40, 40, 3)).astype(np.uint8),
        np.arange(20) % 10,
    )
    lines = []
    for seed, epoch in ((1, 0), (2, 3)):
        train = TorchStream(split, 4, random_crop(16), shuffle=True, seed=seed)
        list(train.epoch(epoch))
        sample = named(train, 10)
        first, again = ([(x.clone(), y.tolist()) for x, y in sample] for _ in range(2))
        assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
        assert len(train) == 5 and len(list(train.epoch(0))) == 5  # the run's own are untouched
        lines.append(first)
    assert [y for _, y in lines[0]] == [y for _, y in lines[1]]
    assert all(torch.equal(a[0], b[0]) for a, b in zip(*lines, strict=True))
    order = np.random.RandomState(0).permutation(20)
    assert sum((y for _, y in lines[0]), []) == [int(i % 10) for i in order[:8]]


def test_all_audits_of_a_run_are_of_its_first_batches_images():
    """A training set that is drawn anew each epoch, and a sample with it."""
    learner = Turned()
    audits = Audits(True, None, 4, learner)
    first, second = (framework("torch")(numbered(n), 2) for n in (9, 30))
    lines = [audits.measure(first), audits.measure(second)]
    assert lines[0] == lines[1] and (lines[0]["images"], lines[0]["batches"]) == (4, 2)
    assert audits.asked and not audits.due(1)
    every = Audits(False, 3, 4, learner)
    assert every.asked and [step for step in range(1, 8) if every.due(step)] == [3, 6]
    assert Audits(False, None, 512, learner).asked is False


def test_a_runs_lines_say_on_how_many_images(toy, tmp_path):
    """A figure that cannot say what its points are of; --audit-images that nobody reads."""
    for words, images, batches in (((), 200, 5), (("--audit-images", 90), 80, 2)):
        done = toy("--audit", "--epochs", 2, "--out", f"run{images}", *words)
        assert done.returncode == 0, done.stderr
        audits = metrics(tmp_path / f"run{images}", "audit")
        assert [(line["images"], line["batches"]) for line in audits] == [(images, batches)] * 3
        assert {"angle", "angle_mean", "angle_spread"} <= set(audits[0]["credit"]["first"])


def test_the_base_class_leaves_the_place_to_the_framework():
    """A sample that lands on another device than the network."""
    assert "_place" in Batches.__abstractmethods__ and module.__doc__
