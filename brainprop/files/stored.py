"""Trained networks on disk: .h5 in either of Keras' layouts, safetensors, and run directories.

Weights are read as plain arrays; nothing in a file is ever executed.

    .h5 of tf-keras      groups by layer, whose attributes name the weights in order: what the
                         original wrote, and what -s writes
    .h5 of Keras 3       layers/<kind>_<number>/vars/<index>: what `model.save_weights` writes
    .safetensors         names as in the traces ("conv1.kernel"), and what made them
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.errors import UserError
from common.files import documents
from common.files.paths import home
from common.files.seal import KEY, finite, seal, verified
from common.files.writing import whole

# What Keras calls its layers -> what we call them.
KINDS = {"conv2d": "conv", "locally_connected2d": "lc", "batch_normalization": "bn"}
KINDS |= {"dense": "dense", "brain_prop_layer": "out"}
MADE_BY = ("dataset", "architecture", "learning_algorithm", "width")  # a file says it of itself
SETTINGS = (*MADE_BY, "seed", "epochs")
ABOUT = documents.loose(
    dataset=documents.TEXT,
    architecture=documents.TEXT,
    learning_algorithm=documents.TEXT,
    width=documents.WIDTH,
    classes=documents.maybe(documents.many(documents.TEXT)),
)
LARGEST = 1 << 30  # bytes of one array; the largest of ours has 16 million
DAMAGED = (OSError, LookupError, ValueError, AttributeError, TypeError, RuntimeError, MemoryError)


class Stored(NamedTuple):
    """arrays in the network's order; names, where the file has ours; about: what made them;
    verified: the file holds an MD5 of its arrays, and they have it."""

    arrays: list[np.ndarray]
    names: list[str] | None
    about: dict[str, Any]
    verified: bool = False


def read(path: Path) -> Stored:
    """A file or a run directory (its best epoch). UserError where it is none."""
    path = home(path)
    if path.is_dir():
        return _run(path)
    path = _spelled(path)
    return _safetensors(path) if path.suffix == ".safetensors" else _h5(path)


def _spelled(path: Path) -> Path:
    """The file; also under the other name of Tiny ImageNet's (brainprop, D17)."""
    other = path.with_name(
        path.name.replace("TIN_", "TinyImageNet_")
        if path.name.startswith("TIN_")
        else path.name.replace("TinyImageNet_", "TIN_")
    )
    if not path.is_file() and not other.is_file():
        raise UserError(f"{path}: there is no such file of weights or run directory")
    return path if path.is_file() else other


def _safetensors(path: Path) -> Stored:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as tensors:
            about: dict[str, Any] = dict(tensors.metadata() or {})
            about |= _object(about.pop("about", "{}"))
            names = list(tensors.keys())
            arrays = [tensors.get_tensor(name) for name in names]
    except (SafetensorError, *DAMAGED) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from error
    known = verified(path, dict(zip(names, arrays, strict=True)), about)
    return _numbers(path, Stored(arrays, names, about, known))


def _run(path: Path) -> Stored:
    from common.runs.checkpoint import of_run

    options = documents.options_of(path, "brainprop", SETTINGS)
    arrays = of_checkpoint(of_run(path, "best"))
    about = {name: options[name] for name in SETTINGS}
    documents.check(about, ABOUT, f"{path / 'config.json'}: options")
    return Stored(list(arrays.values()), list(arrays), about)


def of_checkpoint(folder: Path) -> dict[str, np.ndarray]:
    """The network's arrays of a run's checkpoint: no feedback weights, no generators."""
    stored = _safetensors(folder / "tensors.safetensors")
    pairs = zip(stored.names or (), stored.arrays, strict=True)
    skipped = ("rng.", "steps")
    return {n: a for n, a in pairs if not n.startswith(skipped) and not n.endswith(".B")}


def _h5(path: Path) -> Stored:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            _refuse_links(path, file)
            root = file["model_weights"] if "model_weights" in file else file
            about = _object(str(file.attrs.get("creditlab", "{}")))
            if "layer_names" in root.attrs:
                arrays = _keras2(root)
                known = verified(path, _numbered(arrays), about)
                return _numbers(path, Stored(arrays, None, dict(about), known))
            if "layers" in root:
                return _numbers(path, Stored(_keras3(root["layers"]), None, dict(about)))
    except DAMAGED as error:
        raise UserError(f"{path}: not a whole HDF5 file of weights ({error})") from error
    raise UserError(f"{path}: an HDF5 file, but not of a Keras model's weights")


def _object(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("its metadata are no JSON object")
    return document


def _numbered(arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """An .h5 is read by the places of its arrays, so those are their names."""
    return {str(place): array for place, array in enumerate(arrays)}


def _numbers(path: Path, stored: Stored) -> Stored:
    """UserError for arrays that are no numbers (text, references, records), and for metadata that
    say nothing of a network."""
    documents.check(stored.about, ABOUT, f"{path}: metadata")
    if strange := [array.dtype for array in stored.arrays if array.dtype.kind not in "fiu"]:
        raise UserError(f"{path}: holds weights of type {strange[0]}, which are no numbers")
    named = zip(stored.names or map(str, range(len(stored.arrays))), stored.arrays, strict=True)
    finite(path, dict(named))
    return stored


def _refuse_links(path: Path, group: Any, above: tuple[Any, ...] = ()) -> None:
    """Only what the file itself holds, once: an HDF5 file may point at any other, or at itself,
    and claim to be larger than it is."""
    import h5py

    if group in above:
        raise UserError(f"{path}: {group.name} holds itself")
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            raise UserError(f"{path}: {name} is a link to another file, which is not followed")
        if isinstance(group[name], h5py.Group):
            _refuse_links(path, group[name], (*above, group))
        elif group[name].external or group[name].is_virtual:
            raise UserError(f"{path}: {name} lies in another file, which is not read")
        elif group[name].nbytes > LARGEST:
            raise UserError(f"{path}: {name} claims {group[name].nbytes:,} bytes, too many")


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _keras2(root: Any) -> list[np.ndarray]:
    arrays = []
    for layer in map(_text, root.attrs["layer_names"]):
        group = root[layer]
        arrays += [np.asarray(group[_text(name)]) for name in group.attrs["weight_names"]]
    return arrays


def _keras3(layers: Any) -> list[np.ndarray]:
    """In the order of our names: what Keras calls layers tells kind and number."""
    weights: dict[str, list[np.ndarray]] = {}
    for name, group in layers.items():
        kind, number = re.fullmatch(r"(.*?)_?(\d*)", name).groups()  # type: ignore[union-attr]
        held = group.get("vars", {})
        if kind in KINDS:
            number = str(int(number or 0) + 1)
        elif kind not in KINDS.values():
            continue
        if len(held):
            arrays = [np.asarray(held[i]) for i in sorted(held, key=int)]
            weights[f"{KINDS.get(kind, kind)}{number}"] = arrays
    if "out1" not in weights:  # EBP's last layer is a dense one
        dense = sorted((n for n in weights if n.startswith("dense")), key=_number)
        weights["out1"] = weights.pop(dense[-1])
    return [array for name in sorted(weights, key=_place) for array in weights[name]]


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name))


def _place(name: str) -> tuple[int, int, int]:
    """bn3 behind conv3 or lc3; then the dense layers, then the output."""
    kind = name.rstrip("0123456789")
    if kind in ("conv", "lc", "bn"):
        return 0, _number(name), int(kind == "bn")
    return (1 if kind == "dense" else 2), _number(name), 0


def names_of(net: Any) -> list[str]:
    """The network's variables as files name them, in its own order."""
    return [f"{layer.name}.{variable.name}" for layer in net.layers for variable in layer.weights]


def arrays_of(net: Any) -> dict[str, np.ndarray]:
    """The network's variables by those names."""
    return dict(zip(names_of(net), map(np.asarray, net.weights), strict=True))


def load(net: Any, stored: Stored, where: Path) -> None:
    """Into a network. UserError that says what does not match."""
    mine, wanted, arrays = list(net.weights), names_of(net), stored.arrays
    if stored.names is not None:
        named = dict(zip(stored.names, stored.arrays, strict=True))
        if strange := sorted(named.keys() ^ set(wanted)):
            raise UserError(
                f"{where}: does not match this network: {', '.join(strange[:4])} "
                f"{'is' if len(strange) == 1 else 'are'} on one side only; check architecture and "
                "data set"
            )
        arrays = [named[name] for name in wanted]
    if len(arrays) != len(wanted):
        raise UserError(
            f"{where}: holds {len(arrays)} arrays, this network has {len(wanted)}: they are "
            "another architecture's"
        )
    for name, variable, array in zip(wanted, mine, arrays, strict=True):
        if tuple(variable.shape) != array.shape:
            shapes = f"{array.shape} in the file and {tuple(variable.shape)} in this network"
            raise UserError(f"{where}: {name} is {shapes}: {_reason(name, array, variable)}")
    for variable, array in zip(mine, arrays, strict=True):
        variable.assign(array)


def _reason(name: str, array: np.ndarray, variable: Any) -> str:
    if name.startswith("out") and array.ndim == 2 and array.shape[0] == variable.shape[0]:
        return f"weights of {array.shape[1]} classes; check the data set"
    return "another data set, architecture or --width"


def reorder(stored: Stored, theirs: Sequence[str], ours: Iterable[str], where: Path) -> Stored:
    """With the output's columns in our order of the classes. UserError where the sets differ."""
    ours = list(ours)
    if sorted(theirs) != sorted(ours) or len(set(theirs)) < len(theirs):
        odd = sorted(set(theirs) ^ set(ours))[:3]
        raise UserError(
            f"{where}: its classes are not the data set's ({len(theirs)} and {len(ours)}; "
            f"{', '.join(odd) or 'some stand there twice'})"
        )
    last = stored.names.index("out1.kernel") if stored.names else len(stored.arrays) - 1
    kernel = stored.arrays[last]
    if kernel.ndim != 2 or kernel.shape[1] != len(ours):
        raise UserError(f"{where}: its output has shape {kernel.shape}, not {len(ours)} classes")
    arrays = list(stored.arrays)
    arrays[last] = kernel[:, [list(theirs).index(name) for name in ours]]
    return stored._replace(arrays=arrays)


def write_h5(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Arrays by name in tf-keras' layout, which the original's program reads; never half a file.
    UserError where the disk refuses."""
    import h5py

    layers: dict[str, list[str]] = {}
    for name in arrays:
        layers.setdefault(name.partition(".")[0], []).append(name)
    with whole(path, RuntimeError) as partial:  # h5py's, where closing finds the disk full
        with h5py.File(partial, "w") as file:
            file.attrs["layer_names"] = [layer.encode() for layer in layers]
            file.attrs["backend"] = "tensorflow"
            floats = _numbered(np.asarray(array, np.float32) for array in arrays.values())
            file.attrs["creditlab"] = json.dumps({**about, KEY: seal(floats)})
            for layer, names in layers.items():
                group = file.create_group(layer)
                weights = [f"{layer}/{name.partition('.')[2]}:0" for name in names]
                group.attrs["weight_names"] = [weight.encode() for weight in weights]
                for weight, name in zip(weights, names, strict=True):
                    group.create_dataset(weight, data=np.asarray(arrays[name], np.float32))


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> None:
    """Arrays by name as float32, and what made them; never half a file. UserError where the disk
    refuses."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    floats = {name: np.ascontiguousarray(a, np.float32) for name, a in arrays.items()}
    with whole(path, SafetensorError) as temporary:
        save_file(floats, temporary, {"about": json.dumps({**about, KEY: seal(floats)})})
