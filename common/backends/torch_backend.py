"""PyTorch underneath a run: device, seeds, generators, tensors to and from files."""

import hashlib
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from common.errors import ArgumentError, UserError

NAME = "torch"
DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}


def set_up(
    device: str | int, seed: int, threads: int | None = None, deterministic: bool = False
) -> torch.device:
    """Threads (None: the framework's own), determinism and seeds of this process; the device."""
    if threads:
        torch.set_num_threads(threads)
    if deterministic:
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    seed_all(seed)
    return choose_device(device)


def choose_device(name: str | int) -> torch.device:
    """auto, cpu, cuda, cuda:1 or a CUDA index; ArgumentError where there is no such device."""
    name = str(name)
    count = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    index = name.removeprefix("cuda").removeprefix(":") or "0"
    if not index.isdigit() or int(index) >= count:
        raise ArgumentError("device", f"(={name}): this machine has {count} CUDA devices; use cpu")
    return torch.device("cuda", int(index))


def seed_all(value: int) -> None:
    """Seed Python's, numpy's and torch's generators (all devices)."""
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.manual_seed(value)


def rng_state() -> dict[str, torch.Tensor]:
    """torch's generators: the CPU's and every CUDA device's."""
    states = {"rng.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"rng.cuda{i}": s for i, s in enumerate(torch.cuda.get_rng_state_all())}
    return states


def load_rng_state(states: Mapping[str, torch.Tensor]) -> None:
    """Put the generators where `rng_state` saw them; devices that are not here are passed over."""
    torch.set_rng_state(states["rng.cpu"].cpu())
    for i in range(torch.cuda.device_count()):
        if f"rng.cuda{i}" in states:
            torch.cuda.set_rng_state(states[f"rng.cuda{i}"].cpu(), i)


def is_tensor(value: Any) -> bool:
    """Whether a value of a learner's state is a tensor rather than a number or a text."""
    return isinstance(value, torch.Tensor)


def describe(tensor: torch.Tensor) -> dict[str, Any]:
    """Shape, dtype and memory format, as a checkpoint notes and checks them."""
    last = tensor.dim() == 4 and not tensor.is_contiguous()
    last = last and tensor.is_contiguous(memory_format=torch.channels_last)
    return {
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "memory_format": "channels_last" if last else "contiguous",
    }


def identity(tensor: torch.Tensor) -> Any:
    """Equal for tensors that are one memory, so that tied ones are stored once."""
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write tensors as safetensors, contiguous, on the CPU."""
    host = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    try:
        save_file(host, path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be written ({error})") from error


def load_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read what `save_tensors` wrote; UserError naming the file where it is damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from error


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """A host copy; bfloat16 comes as float32."""
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def to_floats(values: Iterable[Any]) -> list[float]:
    """Device scalars as Python floats, in one transfer a device and dtype."""
    values = list(values)
    if values and all(isinstance(v, torch.Tensor) for v in values):
        if len({(v.dtype, v.device) for v in values}) == 1:
            return torch.stack([v.detach() for v in values]).double().tolist()
    return [float(v) for v in values]


def digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """A hash of names and bits, to say that two states are the same."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(
            tensors[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        )
    return total.hexdigest()


def floats(precision: str) -> torch.dtype:
    """The type of weights and images: bfloat16 is autocast over float32."""
    return torch.float32 if precision == "bfloat16" else DTYPES[precision]


def wide(signal: torch.Tensor) -> torch.Tensor:
    """float32 of what autocast has made narrower; anything else as it is."""
    return signal.float() if signal.dtype in (torch.bfloat16, torch.float16) else signal


@contextmanager
def kept_buffers(net: torch.nn.Module) -> Iterator[None]:
    """Running statistics and other buffers are afterwards what they were before."""
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, buffer in net.named_buffers():
                buffer.copy_(before[name])


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """Mixed precision where `precision` is bfloat16, nothing otherwise."""
    if not torch.amp.is_autocast_available(device.type):  # as on "meta"
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for a device; a device that has none, such as "meta", has it off."""
    kind = device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def synchronise() -> None:
    """Wait for the device."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def now() -> float:
    """Seconds, once the device has done all that was asked of it."""
    synchronise()
    return time.perf_counter()


def peak_memory() -> int | None:
    """Bytes, the most that was allocated on the current CUDA device; None without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def hardware(device: torch.device | None = None) -> dict[str, Any]:
    """What environment.json says of this framework."""
    cuda = device is not None and device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if cuda else None,
        "matmul_precision": torch.get_float32_matmul_precision(),
    }
