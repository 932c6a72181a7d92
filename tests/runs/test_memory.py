"""No network of ours damages memory: every torch paper, grey and colour, under malloc's checker.

Each processor tests its own path and that of processors with AVX2 alone, whose kernels corrupted
narrow networks (`common.backends.torch_convolution`). GLIBC_TUNABLES, not MALLOC_CHECK_: where a
MALLOC_ variable is set, `common.backends.devices` leaves its allocator settings out, and users
have them.
"""

import ctypes
import functools
import json
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="these networks need torch")
from benchmarks.memory_sweep import DEBUG, environment  # noqa: E402

PAPERS = ("asap", "converted", "burstprop", "s3net", "brainprop", "lra_e")


@functools.cache
def ends(isa: str | None) -> dict[str, tuple[int, str]]:
    """Name of each case -> how its process ended, and its last words."""
    try:
        ctypes.CDLL(DEBUG)
    except OSError:
        pytest.skip(f"there is no {DEBUG} here")
    words = [sys.executable, "-m", "tests.runs.memory_child"]
    done = subprocess.run(words, env=environment(isa), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {name: (how, text) for name, how, text in lines}


@pytest.mark.parametrize("isa", [None, "AVX2"], ids=["own", "avx2"])
@pytest.mark.parametrize("colour", ["grey", "colour"])
@pytest.mark.parametrize("paper", PAPERS)
def test_small_networks_keep_within_their_memory(paper: str, colour: str, isa: str | None) -> None:
    """SIGABRT of the checker, or SIGSEGV: a kernel that writes outside its memory."""
    how, text = ends(isa)[f"{paper}-{colour}"]
    assert how == 0, text


@pytest.mark.parametrize("isa", [None, "AVX2"], ids=["own", "avx2"])
def test_the_checker_sees_a_write_past_the_end(isa: str | None) -> None:
    """A checker that is not loaded, and every test above passes whatever happens."""
    how, _ = ends(isa)["planted"]
    assert how < 0
