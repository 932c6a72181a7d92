"""What must be set before a framework is imported; imports none itself."""

import ctypes
import os
import sys

# Frameworks must share a GPU with each other and with their user; logs are for warnings.
DEFAULTS = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "KERAS_BACKEND": "tensorflow",
}


# glibc's mallopt: no mappings of their own for large blocks, nothing returned, growth in steps.
MALLOPT = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_TOP_PAD": (-2, 64 << 20)}


def keep_freed_memory() -> bool:
    """Let freed memory be used again instead of going back to the system; whether that was done.

    A training step allocates what the step before has freed. By default glibc unmaps every large
    block, and the system fills each new page with zeros: up to half of the time of a network of
    many small layers. Left alone where the user has set a MALLOC_ variable, and without glibc.
    """
    if not sys.platform.startswith("linux") or any(
        name.startswith("MALLOC_") for name in os.environ
    ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return all([mallopt(number, value) for number, value in MALLOPT.values()])


def prepare(threads: int | None = None, device: str | int = "auto") -> None:
    """Set the environment for the frameworks that will be imported; a user's own setting stands.

    Called by `common.cli` between the parsing of options and the script's own code.
    """
    keep_freed_memory()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    if threads:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
            os.environ[name] = str(threads)
        os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    if str(device) == "cpu" and "tensorflow" not in sys.modules:
        # TensorFlow takes every GPU that it sees, even for a run on the CPU.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
