"""What lies between a run and its framework: tensors to files, generators, devices, events."""

import os
import platform
import struct
import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from common.errors import UsageError, UserError
from common.files import documents
from common.runs import checkpoint
from common.runs.event_file import Events


@pytest.fixture(params=["torch", "tensorflow"])
def backend(request):
    pytest.importorskip(request.param, reason=f"{request.param} is not installed")
    return import_module(
        "common.backends.torch_backend"
        if request.param == "torch"
        else "common.backends.tf_backend"
    )


def tensor(backend, array):
    if backend.NAME == "torch":
        import torch

        return torch.tensor(array)
    import tensorflow as tf

    return tf.Variable(array)


def test_tensors_come_back_with_their_bits_shapes_and_dtypes(backend, tmp_path):
    """A scalar that comes back as a vector, an int64 step as float32."""
    arrays: dict[str, np.ndarray] = {
        "w": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
        "step": np.array(7, np.int64),
        "double": np.array([1 / 3]),
        "empty": np.zeros((0, 5), np.float32),
    }
    backend.save_tensors(tmp_path / "t", {k: tensor(backend, a) for k, a in arrays.items()})
    for name, back in backend.load_tensors(tmp_path / "t").items():
        array = backend.to_numpy(back)
        assert array.dtype == arrays[name].dtype and array.shape == arrays[name].shape
        assert array.tobytes() == arrays[name].tobytes()


def test_generators_go_back_to_where_they_were(backend):
    """A resumed run with other dropout masks."""
    backend.seed_all(3)
    if backend.NAME == "torch":
        import torch

        def draw():
            return torch.rand(4).tolist()
    else:
        import tensorflow as tf

        def draw():
            return tf.random.get_global_generator().uniform((4,)).numpy().tolist()

    draw()
    before = backend.rng_state()
    first = draw()
    assert draw() != first
    backend.load_rng_state(before)
    assert draw() == first


@pytest.mark.parametrize("name", ["cuda:97", "97", "cuda:x"])
def test_a_device_that_is_not_there_is_named(backend, name):
    """A run that was meant for the second GPU and silently takes the CPU."""
    with pytest.raises(UsageError, match="^device"):
        backend.choose_device(name)
    assert "cpu" in str(backend.choose_device("cpu")).lower()


def test_a_file_that_is_cut_short_is_named(backend, tmp_path):
    """A library's own error, without the path."""
    backend.save_tensors(tmp_path / "t", {"w": tensor(backend, np.ones(100, np.float32))})
    (tmp_path / "t").write_bytes((tmp_path / "t").read_bytes()[:-8])
    with pytest.raises(UserError, match=str(tmp_path / "t")):
        backend.load_tensors(tmp_path / "t")


def test_host_copies_of_scalars_keep_their_order(backend):
    """Losses that change places are still finite, and still sum up."""
    values = [0.5, -2.0, 3.25]
    scalars = [tensor(backend, np.float32(v)) for v in values]
    assert backend.to_floats(scalars) == values
    mixed = [*scalars, tensor(backend, np.int64(7)), 1.5]
    assert backend.to_floats(mixed) == [*values, 7.0, 1.5]


class Tied:
    """A learner whose two names are one tensor, and one that is channels-last."""

    def __init__(self):
        import torch

        from common.backends import torch_backend

        self.backend = torch_backend
        self.w = torch.arange(6.0).reshape(2, 3)
        self.kernel = torch.arange(24.0).reshape(1, 2, 3, 4)
        self.kernel = self.kernel.contiguous(memory_format=torch.channels_last)
        self.loaded = {}

    def state(self):
        return {"a.W": self.w, "b.W": self.w, "kernel": self.kernel, "t": 3}

    def load_state(self, state):
        self.loaded = state


def test_tied_tensors_are_stored_once_and_memory_formats_noted(tmp_path):
    """A checkpoint twice its size; a layout that nobody can find out afterwards."""
    pytest.importorskip("torch", reason="tied storages are torch's")
    learner: Any = Tied()
    folder = checkpoint.save(tmp_path, 5, learner, {"epoch": 1}, ("last",))
    stored = learner.backend.load_tensors(folder / "tensors.safetensors")
    assert {"a.W", "b.W"} & stored.keys() == {"a.W"}
    notes = documents.read(folder / "state.json")["tensors"]
    assert notes["kernel"]["memory_format"] == "channels_last"
    assert checkpoint.load(folder, learner) == {"epoch": 1}
    assert learner.loaded["b.W"].equal(learner.w) and learner.loaded["t"] == 3
    assert learner.loaded["kernel"].equal(learner.kernel)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda s: s.pop("t"), "t is in the checkpoint, not in the learner"),
        (lambda s: s.update(more=1), "more is in the learner only"),
        (lambda s: s.update({"a.W": s["a.W"].double()}), "a.W has dtype float32"),
        (lambda s: s.update({"kernel": 4}), "kernel is a tensor in the checkpoint"),
    ],
)
def test_names_shapes_and_dtypes_are_checked_both_ways(change, part, tmp_path, monkeypatch):
    """A momentum that is not restored starts from zero, and nothing says so."""
    pytest.importorskip("torch", reason="the learner is torch's")
    learner: Any = Tied()
    folder = checkpoint.save(tmp_path, 5, learner, {}, ("last",))
    state = learner.state()
    change(state)
    monkeypatch.setattr(learner, "state", lambda: state)
    with pytest.raises(UserError) as caught:
        checkpoint.load(folder, learner)
    assert part in str(caught.value)


def test_event_files_hold_the_scalars_and_where_a_resume_began(tmp_path):
    """Curves that run twice over the same epochs after a resume."""
    Event = pytest.importorskip("tensorboard.compat.proto.event_pb2").Event

    events = Events(tmp_path, resumed_at=4)
    events.scalars(4, {"test_accuracy": 97.5})
    events.close()
    (path,) = tmp_path.glob("events.out.tfevents.*")
    data, records = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        records.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    assert records[0].file_version == "brain.Event:2"
    assert records[1].session_log.status == 1 and records[1].step == 4
    value = records[2].summary.value[0]
    assert (records[2].step, value.tag, value.simple_value) == (4, "test_accuracy", 97.5)


def test_the_environment_is_set_before_a_framework_is_imported(monkeypatch):
    """TensorFlow that takes the whole GPU from the torch run beside it."""
    from common.backends.devices import DEFAULTS, prepare

    for name in (*DEFAULTS, "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    prepare(threads=3)
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0", "a user's own setting stands"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_freed_memory_is_used_again():
    """Large blocks that go back to the system are filled with zeros at every step: up to half of
    the time of a network of many small layers."""
    lines = """
import resource
import numpy as np
from common.backends.devices import prepare
prepare()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(10_000_000).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    for more, kept in (({}, True), ({"MALLOC_ARENA_MAX": "4"}, False)):
        done = subprocess.run(
            [sys.executable, "-c", lines], env=environment | more, capture_output=True, text=True
        )
        first, second = map(int, done.stdout.split())
        if platform.libc_ver()[0] == "glibc":
            assert (second < first / 10) == kept, (first, second)
