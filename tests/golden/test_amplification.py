"""A run that makes much of rounding is checked by how much; any other as strictly as ever."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.amplification import CAP, allowances, check_replay
from tests.golden.trace import Trace

STRICT = {"float64": 1e-12, "float32": 1e-5}


def layer(x: np.ndarray) -> np.ndarray:
    """A layer that makes about six times as much of every difference (Chebyshev's T_6)."""
    s = x * x
    return ((32 * s - 48) * s + 18) * s - 1


def same_layer(x: np.ndarray) -> np.ndarray:
    """The same function, rounded otherwise."""
    s = x * x
    y = 4 * s * x - 3 * x  # T_3
    return 2 * y * y - 1


def tame(x: np.ndarray) -> np.ndarray:
    return np.tanh(x)


def record(folder: Path, dtype: str, apply=layer, layers: int = 8) -> Path:
    """What "the original" gave, layer by layer, in a precision."""
    x = np.random.RandomState(3).uniform(-0.9, 0.9, 6).astype(dtype)
    arrays: dict[str, Any] = {"init/x": x, "meta.dtype": np.array(dtype)}
    for i in range(layers):
        x = apply(x)
        arrays[f"after{i + 1}"] = x
    path = folder / f"{dtype}.npz"
    np.savez(path, **arrays)
    return path


def replay(apply, wrong: float = 0.0):
    """A replayer; `wrong` is a relative mistake in the first layer."""

    def compare(trace: Trace) -> None:
        dtype = trace.text("meta.dtype")
        x = trace["init/x"].astype(dtype)
        for i in range(8):
            x = apply(x)
            if i == 0:
                x = x * np.asarray(1 + wrong, dtype)
            trace.compare(f"after{i + 1}", x, STRICT[dtype])

    return compare


@pytest.mark.parametrize("dtype", STRICT)
def test_eight_layers_that_multiply_rounding_two_million_fold_are_checked_fairly(dtype, tmp_path):
    """No constant fits: what is right fails by it, or what is wrong passes elsewhere."""
    path = record(tmp_path, dtype)
    exact, ulp = replay(same_layer), np.finfo(dtype).eps
    with pytest.raises(AssertionError):
        exact(Trace(path))
    check_replay(path, exact)
    allowed = allowances(path, exact)
    growth = allowed["after8"].max() / ulp
    assert growth > 1e6
    assert allowed["after1"].max() < 1000 * ulp


@pytest.mark.parametrize("dtype", STRICT)
def test_what_is_wrong_stays_wrong_however_much_is_made_of_it(dtype, tmp_path):
    """A check that lets the mistake set its own tolerance: it shows in the first layer already."""
    path = record(tmp_path, dtype)
    for wrong in (1e-3, -2.0):
        with pytest.raises(AssertionError, match="after1"):
            check_replay(path, replay(same_layer, wrong))


@pytest.mark.parametrize("dtype", STRICT)
def test_a_harmless_run_is_checked_as_strictly_as_before(dtype, tmp_path):
    """A tolerance that grows for everybody hides a defect of a part in a thousand million."""
    path = record(tmp_path, dtype, tame)
    check_replay(path, replay(tame))
    with pytest.raises(AssertionError):
        check_replay(path, replay(tame, wrong=20 * STRICT[dtype]))


def test_nothing_is_allowed_beyond_half_of_a_number(tmp_path):
    """Chaos that would let a number of the other sign pass."""
    path = record(tmp_path, "float32", layers=8)

    def wild(trace: Trace) -> None:
        x = trace["init/x"]
        for i in range(8):
            x = layer(layer(x))
            trace.compare(f"after{i + 1}", x, 0.0)
        _ = trace["meta.dtype"]

    allowed = allowances(path, wild)
    assert allowed["after8"].max() <= CAP
    with pytest.raises(AssertionError):
        check_replay(path, wild)


def test_a_trace_without_a_start_gets_nothing_more(tmp_path):
    """One step from weights that a formula gives has no start to move."""
    np.savez(tmp_path / "a.npz", loss=np.array(1.0))

    def off(trace: Trace) -> None:
        trace.compare("loss", 1.001, 1e-6)

    assert allowances(tmp_path / "a.npz", off) == {}
    with pytest.raises(AssertionError, match="loss"):
        check_replay(tmp_path / "a.npz", off)


def asap_traces(folder: Path, change, stem: str = "convnet_fa_tied") -> Path:
    """A recorded ASAP trace with something changed, beside its inputs."""
    from tests.golden.cases import OUR_DATA

    (folder / "asap").mkdir()
    for name in (stem, "inputs"):
        with np.load(OUR_DATA / "asap" / f"{name}.npz") as archive:
            arrays: dict[str, Any] = dict(archive)
        change(name, arrays)
        np.savez(folder / "asap" / f"{name}.npz", **arrays)
    return folder / "asap" / f"{stem}.npz"


def test_a_tied_trace_may_name_the_feedback_weights_that_are_the_forward_ones(tmp_path):
    """`after1/<layer>.weight_fa` of a convolution is its weight; ours has no such key."""
    pytest.importorskip("torch")
    from tests.golden.replay import asap

    def name_them(name: str, arrays: dict[str, np.ndarray]) -> None:
        for key in [k for k in arrays if k.endswith(".weight") and arrays[k].ndim == 4]:
            if key.startswith(("init/", "after")):
                arrays[f"{key}_fa"] = arrays[key]

    path = asap_traces(tmp_path, name_them)
    assert any(key.startswith("after") and key.endswith("0.weight_fa") for key in Trace(path))
    check_replay(path, lambda trace: asap.replay(trace, ""))

    with np.load(path) as archive:
        arrays: dict[str, Any] = dict(archive)
    key = next(k for k in arrays if k.startswith("after") and k.endswith("0.weight_fa"))
    arrays[key] = arrays[key] * 1.01
    np.savez(path, **arrays)
    with pytest.raises(AssertionError, match="weight_fa"):
        check_replay(path, lambda trace: asap.replay(trace, ""))


def test_asaps_inputs_may_be_of_any_number_and_size(tmp_path):
    """A shape that was typed in fails for the next recorded batch."""
    from tests.golden.replay import asap

    def fewer(name: str, arrays: dict[str, np.ndarray]) -> None:
        for key in ("cifar_x", "cifar_y", "mnist_x", "mnist_y") if name == "inputs" else ():
            arrays[key] = np.concatenate([arrays[key]] * 2)[:3, :4]

    path = asap_traces(tmp_path, fewer).with_name("inputs.npz")
    check_replay(path, lambda trace: asap.replay(trace, ""))

    def shifted(arrays: dict[str, Any]) -> None:
        np.savez(path, **arrays)
        with pytest.raises(AssertionError):
            check_replay(path, lambda trace: asap.replay(trace, ""))

    with np.load(path) as archive:
        good: dict[str, Any] = dict(archive)
    shifted(good | {"cifar_y": good["cifar_y"][:, :2]})
    shifted(good | {"mnist_y": good["mnist_y"] + 9})
    shifted(good | {"mnist_x": good["cifar_x"]})
