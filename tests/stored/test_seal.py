"""A flipped bit in a file of weights, of every kind that is read or written here."""

import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import UserError

WEIGHTS = {
    "dense1.kernel": np.linspace(0.1, 0.9, 12, dtype=np.float32).reshape(3, 4),
    "out1.kernel": np.linspace(1.1, 1.9, 8, dtype=np.float32).reshape(4, 2),
}
ABOUT = {"dataset": "mnist", "epochs": 3}


def flip(path: Path, array: np.ndarray) -> None:
    """The lowest bit of an array's last number, where it lies in the file."""
    data = bytearray(path.read_bytes())
    wanted = array.tobytes()
    assert data.count(wanted) == 1
    data[data.index(wanted) + len(wanted) - 4] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("suffix", [".h5", ".safetensors"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_a_flipped_bit_of_brainprops_weights_is_noticed(tmp_path: Path, suffix: str, name: str):
    """It was accepted: an accuracy a little lower, or a NaN, and nobody knows why."""
    pytest.importorskip("h5py")
    from brainprop.files import stored

    path = tmp_path / f"weights{suffix}"
    write = stored.write_h5 if suffix == ".h5" else stored.write_safetensors
    write(path, WEIGHTS, ABOUT)
    model = stored.read(path)
    assert model.verified and model.about == ABOUT
    for mine, theirs in zip(WEIGHTS.values(), model.arrays, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    flip(path, WEIGHTS[name])
    with pytest.raises(UserError, match="MD5 of the weights is .* damaged") as caught:
        stored.read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_h5_of_another_program_is_read_and_not_verified(tmp_path: Path):
    """The original's own files have no hash; they must go on being read."""
    h5py = pytest.importorskip("h5py")
    from brainprop.files import stored

    path = tmp_path / "weights.h5"
    stored.write_h5(path, WEIGHTS, ABOUT)
    with h5py.File(path, "a") as file:
        about = json.loads(file.attrs["creditlab"])
        assert len(about.pop("md5")) == 32 and about == ABOUT
        del file.attrs["creditlab"]
    assert not stored.read(path).verified
    flip(path, WEIGHTS["out1.kernel"])
    assert not stored.read(path).verified


def test_a_flipped_bit_of_a_torch_papers_safetensors_is_noticed(tmp_path: Path):
    """ASAP, Burstprop and S3Net write theirs by one function."""
    torch = pytest.importorskip("torch")
    from common.backends.torch_files import read_safetensors, write_safetensors

    path, state = tmp_path / "net.safetensors", {n: torch.tensor(a) for n, a in WEIGHTS.items()}
    state["batches"] = torch.tensor(7)
    write_safetensors(path, state, {"about": json.dumps(ABOUT), "tested_on": "mnist"})
    tensors, about = read_safetensors(path, "about")
    assert about == ABOUT | {"tested_on": "mnist"}
    assert tensors.keys() == state.keys() and all(torch.equal(tensors[n], state[n]) for n in state)
    flip(path, WEIGHTS["dense1.kernel"])
    with pytest.raises(UserError, match="MD5 of the weights"):
        read_safetensors(path, "about")


def test_a_flipped_bit_of_a_pth_is_noticed(tmp_path: Path):
    """The file holds a CRC of each tensor, which torch.load does not look at."""
    torch = pytest.importorskip("torch")
    from common.backends.torch_files import read_pth, write_pth

    path, array = tmp_path / "net.pth", WEIGHTS["dense1.kernel"]
    write_pth(path, {"W": torch.tensor(array), "epoch": 3})
    assert torch.equal(read_pth(path)["W"], torch.tensor(array))
    flip(path, array)
    torch.load(path, weights_only=True)  # which is why it has to be looked for
    with pytest.raises(UserError, match="is damaged") as caught:
        read_pth(path)
    assert str(caught.value).startswith(f"{path}: ")
    torch.save({"W": torch.tensor(array)}, path, _use_new_zipfile_serialization=False)
    assert torch.equal(read_pth(path)["W"], torch.tensor(array))  # older files have none


def test_a_flipped_bit_of_lra_es_weights_is_noticed(tmp_path: Path):
    """Its evaluation needs no framework, so it has a reader of its own."""
    from lra_e.stored import export, read

    path, weights = tmp_path / "net.safetensors", {"W1": WEIGHTS["dense1.kernel"]}
    export(weights, {"rule": "lra_e"}, path)
    tensors, about = read(path)
    assert about == {"rule": "lra_e", "parameters": "12"}
    np.testing.assert_array_equal(tensors["W1"], weights["W1"])
    flip(path, weights["W1"])
    with pytest.raises(UserError, match="MD5 of the weights"):
        read(path)


ROOT = Path(__file__).parents[2]
STORED = sorted([*ROOT.glob("*/model.safetensors"), *ROOT.glob("s3net/weights/*.safetensors")])


@pytest.mark.parametrize("path", STORED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_network_that_is_stored_here_is_sealed(path: Path):
    """A checkout that git or a disk has damaged must not answer with another accuracy."""
    from safetensors import safe_open

    from common.files.seal import verified

    with safe_open(path, "np") as tensors:
        about = dict(tensors.metadata())
        arrays = {name: tensors.get_tensor(name) for name in tensors.keys()}
    about |= json.loads(about.get("about", "{}"))
    assert verified(path, arrays, about)


def test_lra_es_older_files_tell_what_made_them_entry_by_entry(tmp_path: Path):
    """Files of yesterday, whose header had no "options"; and a header that is no JSON."""
    from safetensors.numpy import save_file

    from lra_e.stored import read

    weights, path = {"W1": np.ones((3, 4), np.float32)}, tmp_path / "net.safetensors"
    save_file(weights, path, {"rule": "lra_e", "seed": "1"})
    assert read(path)[1] == {"rule": "lra_e", "seed": "1"}
    for text, words in (("{", "not a whole"), ("[1]", "metadata"), ('{"seed": 1}', "seed")):
        save_file(weights, path, {"options": text})
        with pytest.raises(UserError, match=words) as error:
            read(path)
        assert "\n" not in str(error.value)
