"""What must be set before a framework is imported; imports none itself."""

import os
import sys
from typing import Any

# Frameworks must share a GPU with each other and with their user; logs are for warnings.
DEFAULTS = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "KERAS_BACKEND": "tensorflow",
}


def prepare(options: Any = None) -> None:
    """Set the environment for the frameworks that will be imported; a user's own setting stands.

    Called by `common.cli` between the parsing of options and the script's own code.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    threads = getattr(options, "threads", None)
    if threads:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
            os.environ[name] = str(threads)
        os.environ["TF_NUM_INTEROP_THREADS"] = "1"
    if str(getattr(options, "device", "auto")) == "cpu" and "tensorflow" not in sys.modules:
        # TensorFlow takes every GPU that it sees, even for a run on the CPU.
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
