"""TensorFlow underneath a run: device, seeds, generators, tensors to and from files.

`common.backends.devices.prepare` runs before TensorFlow is imported. Random numbers that training
consumes must come from `tf.random.Generator` or stateless draws: those can be put back at a resume.
"""

import hashlib
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from common.errors import ArgumentError, UserError

NAME = "tensorflow"
DTYPES = {"float32": tf.float32, "float64": tf.float64, "bfloat16": tf.bfloat16}


def set_up(
    device: str | int, seed: int, threads: int | None = None, deterministic: bool = False
) -> str:
    """Threads (None: the framework's own), determinism and seeds of this process; the device."""
    if threads:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:  # already running; `prepare` has set the environment's variables
            pass
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    seed_all(seed)
    return choose_device(device)


def choose_device(name: str | int) -> str:
    """auto, cpu, cuda, cuda:1 or an index, as TensorFlow spells it; ArgumentError for none such."""
    name = str(name)
    count = len(tf.config.list_logical_devices("GPU"))
    if name == "cpu" or (name == "auto" and not count):
        return "/CPU:0"
    index = "0" if name == "auto" else name.removeprefix("cuda").removeprefix(":") or "0"
    if not index.isdigit() or int(index) >= count:
        raise ArgumentError("device", f"(={name}): TensorFlow sees {count} GPUs; use cpu")
    return f"/GPU:{int(index)}"


def seed_all(value: int) -> None:
    """Seed Python's, numpy's and TensorFlow's generators."""
    keras.utils.set_random_seed(value % 2**32)
    tf.random.set_global_generator(tf.random.Generator.from_seed(value))


def rng_state() -> dict[str, Any]:
    """The state of TensorFlow's global generator."""
    return {"rng.global": tf.identity(tf.random.get_global_generator().state)}


def load_rng_state(states: Mapping[str, Any]) -> None:
    """Put the global generator where `rng_state` saw it."""
    tf.random.get_global_generator().reset(states["rng.global"])


def is_tensor(value: Any) -> bool:
    """Whether a value of a learner's state is a tensor rather than a number or a text."""
    return tf.is_tensor(value) or isinstance(value, tf.Variable | keras.Variable | np.ndarray)


def describe(tensor: Any) -> dict[str, Any]:
    """Shape and dtype, as a checkpoint notes and checks them."""
    return {
        "shape": list(tensor.shape),
        "dtype": tf.as_dtype(tensor.dtype).name,
        "memory_format": "contiguous",
    }


def identity(tensor: Any) -> Any:
    """Equal for tensors that are one variable, so that tied ones are stored once."""
    return id(tensor)


def save_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write tensors as safetensors."""
    try:
        save_file({name: np.array(_array(t), order="C") for name, t in tensors.items()}, path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be written ({error})") from error


def load_tensors(path: Path) -> dict[str, Any]:
    """Read what `save_tensors` wrote; UserError naming the file where it is damaged."""
    try:
        return {name: tf.constant(array) for name, array in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from error


def to_numpy(tensor: Any) -> np.ndarray:
    """A host copy; bfloat16 comes as float32."""
    array = _array(tensor)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.value if isinstance(tensor, keras.Variable) else tensor)


def to_floats(values: Iterable[Any]) -> list[float]:
    """Device scalars as Python floats."""
    return [float(v) for v in values]


def digest(tensors: Mapping[str, Any]) -> str:
    """A hash of names and bits, to say that two states are the same."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(_array(tensors[name]).tobytes())
    return total.hexdigest()


def autocast(device: str, precision: str) -> AbstractContextManager:
    """The device's scope; mixed precision is a matter of Keras' dtype policies."""
    if precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    return tf.device(device)


def synchronise() -> None:
    """Wait for the device."""
    tf.test.experimental.sync_devices()


def now() -> float:
    """Seconds, once the device has done all that was asked of it."""
    synchronise()
    return time.perf_counter()


def peak_memory() -> int | None:
    """Bytes, the most that was allocated on the first GPU; None without one."""
    if not tf.config.list_physical_devices("GPU"):
        return None
    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def hardware(device: str | None = None) -> dict[str, Any]:
    """What environment.json says of this framework."""
    return {
        "device": device or "/CPU:0",
        "threads": tf.config.threading.get_intra_op_parallelism_threads(),
    }
