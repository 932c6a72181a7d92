"""An original's checkpoint file that is cut, edited or something else: one line, nothing loaded."""

import struct
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the files are torch's")
from common.backends.torch_files import (  # noqa: E402
    read_pth,
    read_safetensors,
    write_pth,
    write_safetensors,
)
from common.errors import UserError  # noqa: E402

OTHERS: tuple[Any, ...] = (None, [], {}, "x", -1, float("nan"), [[1]], {"a": 1}, {1: 2}, True)


def burstprop():
    """A narrow learner and the reader of its files."""
    from burstprop.imagenet import stored
    from burstprop.imagenet.learner import Learner, sgd
    from burstprop.imagenet.networks import make_network

    net = make_network(4, feedback="learned", width=0.02, image_size=193)
    learner = Learner(net, [0.01] * len(net.names), sgd(0.9, 1e-4))
    return learner, stored.load


def s3net():
    """As `burstprop`."""
    from s3net.imagenet import checkpoint
    from s3net.imagenet.learner import Learner
    from s3net.networks import make_network

    learner = Learner(make_network("s3net_small", 4), 0.1)
    return learner, checkpoint.load


def document_of(learner, folder: Path) -> dict[str, Any]:
    if isinstance(getattr(learner, "best", None), dict):
        from s3net.imagenet import checkpoint as ours

        ours.save(folder, learner, 3, "s3net_small", best=False)
        return read_pth(folder / "checkpoint.pth.tar")
    from common.backends import torch_pth_tar

    torch_pth_tar.save(folder, learner.net, learner.optimiser, 3, {"best_acc1": 50.0})
    return read_pth(folder / "checkpoint.pth.tar")


def refused(load, learner, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(learner, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("make", [burstprop, s3net])
def test_half_a_file_is_one_line(make, tmp_path):
    """`-resume_path half.safetensors`: SafetensorError, forty lines deep."""
    learner, load = make()
    whole = tmp_path / "whole.tar"
    write_pth(whole, document_of(learner, tmp_path))
    tensors = tmp_path / "whole.safetensors"
    write_safetensors(tensors, {"a": torch.zeros(100)}, {})
    for source in (whole, tensors):
        data = source.read_bytes()
        for number, part in enumerate((0, 1, 7, 8, 9, len(data) // 2, len(data) - 1)):
            half = tmp_path / f"half{number}{source.suffix}"
            half.write_bytes(data[:part])
            refused(load, learner, half)
    for number, noise in enumerate(
        (
            b"\x80\x02",
            b"PK\x03\x04" + b"x" * 40,
            b"\x00" * 99,
            struct.pack("<Q", 2**40),
            b"(lp0\nI1\na.",
        )
    ):
        (tmp_path / f"noise{number}").write_bytes(noise)
        refused(load, learner, tmp_path / f"noise{number}")
    refused(load, learner, tmp_path)


@pytest.mark.parametrize("make", [burstprop, s3net])
def test_every_edit_of_a_file_is_one_line(make, tmp_path):
    """`TypeError: int() argument must be a string`; a state of a list."""
    learner, load = make()
    document = document_of(learner, tmp_path)
    path = tmp_path / "edited.tar"
    for key in document:
        if key == "arch":
            continue  # never read
        for value in OTHERS:
            write_pth(path, document | {key: value})
            if key == "epoch" and value is True or key.startswith("best") and value in (-1, True):
                continue
            if key == "optimizer" and make is s3net and value in ({}, {"a": 1}, {1: 2}):
                load(learner, path)  # a network that has not taken a step has no momenta
                continue
            refused(load, learner, path)
        write_pth(path, {k: v for k, v in document.items() if k != key})
        refused(load, learner, path)
    for part in ("state", "param_groups"):
        for value in OTHERS:
            write_pth(path, document | {"optimizer": document["optimizer"] | {part: value}})
            try:
                load(learner, path)
            except UserError as error:
                assert str(path) in str(error)
    state = {index: {"momentum_buffer": "x"} for index in range(99)}
    write_pth(path, document | {"optimizer": document["optimizer"] | {"state": state}})
    refused(load, learner, path)


def test_metadata_that_is_no_object_is_named(tmp_path):
    """`TypeError: unsupported operand type(s) for |=`."""
    for text in ("5", "[]", "null", "{", '"a"'):
        write_safetensors(tmp_path / "f", {"a": torch.zeros(2)}, {"about": text})
        with pytest.raises(UserError, match="f: not a whole safetensors file"):
            read_safetensors(tmp_path / "f", "about")
