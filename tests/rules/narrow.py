"""Where TensorFlow itself cannot compute in bfloat16."""

import subprocess
import sys
from functools import cache

import pytest


@cache
def _dies() -> bool:
    plain = "import tensorflow as tf; x = tf.ones((4, 3, 3), tf.bfloat16); tf.matmul(x, x)"
    return subprocess.run([sys.executable, "-c", plain], capture_output=True).returncode < 0


def skip_where_tensorflow_dies() -> None:
    """Skip where a plain batched product ends by a signal: TensorFlow 2.21 whose oneDNN is held to
    AVX2 (`ONEDNN_MAX_CPU_ISA`) on a processor with AVX-512."""
    if _dies():
        pytest.skip("TensorFlow's own product of bfloat16 matrices dies on this processor's path")
