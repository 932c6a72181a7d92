"""Files of trained weights: safetensors, .pth and .h5 that are cut, edited or another network's."""

import json
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import edits
from tests.fuzz.case import EITHER, REFUSED, TAKEN, Case, plain
from tests.fuzz.programs import WEIGHTS

RESUMES = {
    "burstprop.train_imagenet": "-resume_path",
    "s3net.imagenet.train": "--resume",
    "s3net.imagenet.validate_10crop": "--resume",
}
TRAINED = {"s3net.imagenet.validate_10crop": "s3net.imagenet.train"}


def programs() -> list[str]:
    """Every program that reads weights."""
    return [*WEIGHTS, *RESUMES]


def make(chance: random.Random, module: str, work: Path, stock: Path) -> Case:
    """The program with a good file of weights that was changed in one place."""
    if module in RESUMES:
        return _resumed(chance, module, work, stock)
    source = WEIGHTS[module]
    kinds = ["safetensors"] * 3
    if module in ("asap.eval", "burstprop.evaluate", "s3net.tinyimagenet.eval"):
        kinds += ["pth", "pth"]
    if module.startswith("brainprop"):
        kinds += ["h5", "h5"]
    kind = chance.choice(kinds)
    file = work / f"weights.{kind}"
    if kind == "safetensors":
        file.write_bytes(source.read_bytes())
        note, expect = _safetensors(chance, file)
    elif kind == "h5":
        note, expect = _h5(chance, source, file)
    else:
        note, expect = _pth(chance, module, source, file)
    words = plain(module, work, stock, file)
    if expect == TAKEN and kind == "pth":
        expect = EITHER  # it does not say which network it is
    return Case("weights", module, words, expect, note, work)


def _resumed(chance: random.Random, module: str, work: Path, stock: Path) -> Case:
    import torch

    run = stock / TRAINED.get(module, module)
    files = sorted(p for p in run.rglob("*.pth*") if p.is_file())
    files += sorted(run.glob("checkpoints/step-*/tensors.safetensors"))
    source = chance.choice(files)
    file = work / f"weights{source.name.removeprefix(source.name.split('.')[0])}"
    file.write_bytes(source.read_bytes())
    if chance.random() < 0.5:
        note, broken = edits.bytes_file(chance, file)
        expect = REFUSED if broken else EITHER
    elif ".pth" in file.name:
        document = torch.load(file, weights_only=True)
        document, place, now = edits.document(chance, document)
        torch.save(document, file)
        note, expect = f"{place} is {now!r:.40}", EITHER
    else:
        note, expect = _safetensors(chance, file)
        expect = EITHER if expect == TAKEN else expect
    words = [*plain(module, work, stock), RESUMES[module], str(file)]
    return Case("weights", module, words, expect, f"{source.name}: {note}", work)


def _safetensors(chance: random.Random, file: Path) -> tuple[str, str]:
    what = chance.choice(
        ("whole", "bytes", "bytes", "header", "about", "about", "tensor", "tensor")
    )
    data = file.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    if what == "whole":
        return "whole", TAKEN
    if what == "bytes":
        note, broken = edits.bytes_file(chance, file)
        return note, REFUSED if broken or "bit" in note and int(
            note.split()[-1]
        ) > size + 8 else EITHER
    if what == "header":
        header, place, now = edits.document(chance, header)
        _write(file, header, body)
        return f"header: {place} is {now!r:.40}", EITHER
    about: dict[str, str] = header.get("__metadata__") or {}
    if what == "about" and about:
        key = chance.choice(sorted(about))
        try:
            inner = json.loads(about[key])
        except ValueError:
            inner = None
        if isinstance(inner, dict) and inner:
            inner, place, now = edits.document(chance, inner)
            about[key], note = json.dumps(inner), f"{place} is {now!r:.40}"
        else:
            about[key] = chance.choice(("", "x", "{", "[]", "null", "-1", "1e999", "\x00"))
            note = f"is {about[key]!r}"
        header["__metadata__"] = about
        _write(file, header, body)
        return f"metadata: {key}: {note}", EITHER
    return _another_tensor(chance, file)


def _write(file: Path, header: Any, body: bytes) -> None:
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


def _another_tensor(chance: random.Random, file: Path) -> tuple[str, str]:
    """Written anew, without a seal, with a tensor that is gone, or of another name or shape."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(file, "np") as held:
        about = {n: v for n, v in (held.metadata() or {}).items() if n != "md5"}
        arrays = {n: held.get_tensor(n) for n in held.keys()}
    if "about" in about:
        inner = json.loads(about["about"])
        about["about"] = json.dumps({n: v for n, v in inner.items() if n != "md5"})
    note, expect = _other_array(chance, arrays)
    save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, file, about)
    return note, expect


def _other_array(chance: random.Random, arrays: dict[str, np.ndarray]) -> tuple[str, str]:
    floats = [n for n in sorted(arrays) if arrays[n].dtype.kind == "f" and arrays[n].ndim]
    name = chance.choice(floats)
    what = chance.choice(("gone", "called", "shape", "rank", "type", "integers", "nan", "empty"))
    array = arrays[name]
    needed = not name.endswith((".weight_fa", ".weight_r")) and name[:1] not in "Eb"
    if what == "gone":
        del arrays[name]
    elif what == "called":
        arrays["no.such.name"] = arrays.pop(name)
    elif what == "shape":
        arrays[name] = np.concatenate([array, array])
    elif what == "rank":
        arrays[name] = array[None]
    elif what == "empty":
        arrays[name] = array[:0]
    else:
        kinds = {"type": np.float64, "integers": np.int32, "nan": np.float32}
        arrays[name] = (array * np.float32(np.nan) if what == "nan" else array).astype(kinds[what])
        return f"{name}: {what}", REFUSED if what == "nan" else EITHER
    return f"{name}: {what}", REFUSED if needed else EITHER


def _pth(chance: random.Random, module: str, source: Path, file: Path) -> tuple[str, str]:
    import torch
    from safetensors.torch import load_file

    state: dict[str, Any] = dict(load_file(source))
    document: Any = {"net": state, "acc": 90.0, "epoch": 3} if module == "asap.eval" else state
    what = chance.choice(("whole", "bytes", "bytes", "document", "value"))
    note, expect = "whole", EITHER
    if what == "document":
        document, place, now = edits.document(chance, document)
        note = f"{place} is {now!r:.40}"
    elif what == "value":
        document = chance.choice((3, [], "x", None, {}, {"net": []}, {1: 2}, [torch.zeros(2)]))
        note, expect = f"holds {document!r:.40}", REFUSED
    torch.save(document, file)
    if what == "bytes":
        note, broken = edits.bytes_file(chance, file)
        expect = REFUSED if broken else EITHER
    return note, expect


def _h5(chance: random.Random, source: Path, file: Path) -> tuple[str, str]:
    import h5py
    from safetensors import safe_open

    from brainprop.files.stored import write_h5

    with safe_open(source, "np") as held:
        about = json.loads((held.metadata() or {}).get("about", "{}"))
        arrays = {n: held.get_tensor(n) for n in held.keys()}
    about.pop("md5", None)
    write_h5(file, arrays, about)
    what = chance.choice(("whole", "bytes", "bytes", "attribute", "attribute", "dataset", "about"))
    if what == "whole":
        return "whole", EITHER
    if what == "bytes":
        note, broken = edits.bytes_file(chance, file)
        return note, REFUSED if broken else EITHER
    with h5py.File(file, "r+") as opened:
        group = opened[chance.choice(sorted(opened))]
        if what == "dataset":
            name = chance.choice(sorted(group[next(iter(group))] if len(group) == 1 else group))
            opened.pop(group.name)
            return f"no {group.name} ({name})", REFUSED
        target = chance.choice((opened, group)) if what == "attribute" else opened
        key = "creditlab" if what == "about" else chance.choice(sorted(target.attrs))
        value = chance.choice(("x", 3, [b"a"], [], np.array([1.5]), "{", "[]", "null", b"\xff"))
        target.attrs[key] = value
        return f"{target.name}: attribute {key} is {value!r}", EITHER
