"""Which convolutions of this torch write outside their memory on the CPU, and does the guard of
`common.backends.torch_convolution` know each of them?

    python -m benchmarks.memory_sweep                   about twenty minutes on one core
    python -m benchmarks.memory_sweep --what weights    the calls that are known to corrupt
    python -m benchmarks.memory_sweep --isa AVX2        one of the processor's paths

glibc's malloc checker watches each case in a process of its own, once for each instruction set that
oneDNN can be held to. A line says what was tried on a path and where it corrupts; the exit status
is 1 where a weight gradient that corrupts is not in the guarded set, or another call corrupts.
Linux with glibc and its libc_malloc_debug.so.0 only.
"""

import argparse
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

DEBUG = "libc_malloc_debug.so.0"
ISAS = ("AVX2", "AVX512_CORE", "ALL", "SSE41")
CHANNELS = (*range(1, 10), 12, 15, 16, 17, 24)
OUTPUTS, SIZES = (1, 8), (3, 8, 63, 64, 66)
SHAPES = (
    (1, (2, 2), 0),
    (1, (1, 1), 0),
    (1, (3, 3), 0),
    (1, (1, 2), 0),
    (1, (2, 1), 0),
    (1, (2, 2), 1),
    (2, (2, 2), 0),
    (3, (1, 1), 1),
    (3, (2, 2), 1),
)
WHATS = ("weights", "bias", "down", "forward")
SECONDS = 300  # what takes longer hangs


class Case(NamedTuple):
    """One call. what: "forward", or a gradient: "down", "weights", "bias"; groups 0: depthwise."""

    what: str
    layout: str
    dtype: str
    kernel: int
    stride: tuple[int, int]
    padding: int
    groups: int
    inputs: int
    outputs: int
    size: int
    batch: int = 8


def cases(dtype: str, whats: Iterable[str]) -> Iterator[Case]:
    """All that is tried for one type of numbers."""
    layouts = ("channels_last", "contiguous_format")
    for what, layout, (kernel, stride, padding), groups in itertools.product(
        whats, layouts, SHAPES, (1, 2, 0)
    ):
        for inputs, outputs, size in itertools.product(CHANNELS, OUTPUTS, SIZES):
            count = groups or inputs
            if groups == 1 or (inputs > 1 and not inputs % count and count * outputs <= 64):
                full = outputs if groups == 1 else count * outputs
                yield Case(what, layout, dtype, kernel, stride, padding, groups, inputs, full, size)


def call(case: Case) -> None:
    """Do it twice, and let go of everything: the checker looks at what is freed."""
    import torch

    fmt, dtype = getattr(torch, case.layout), getattr(torch, case.dtype)
    groups = case.groups or case.inputs
    pad = (case.padding, case.padding)
    shapes = {
        "x": (case.batch, case.inputs, case.size, case.size),
        "W": (case.outputs, case.inputs // groups, case.kernel, case.kernel),
    }
    x, W = (torch.empty(s, dtype=dtype, memory_format=fmt).normal_() for s in shapes.values())
    how = (list(case.stride), list(pad), [1, 1])
    for _ in range(2):
        if case.what == "forward":
            torch.nn.functional.conv2d(x, W, None, case.stride, pad, (1, 1), groups)
            continue
        out = [(case.size + 2 * case.padding - case.kernel) // s + 1 for s in case.stride]
        delta = torch.empty(
            (case.batch, case.outputs, *out), dtype=dtype, memory_format=fmt
        ).normal_()
        wanted = [case.what == name for name in ("down", "weights", "bias")]
        torch.ops.aten.convolution_backward(delta, x, W, None, *how, False, [0, 0], groups, wanted)
        del delta
    del x, W
    freed = [torch.empty(64 * i + 1) for i in range(40)]
    del freed


def forked(action: Callable[[], object]) -> tuple[int, str]:
    """How a fork that does this ended, and what it said last: 0, an exit status, or a signal as a
    negative number; 9 is also the end of one that hangs."""
    with tempfile.TemporaryFile("w+") as words:
        fork = os.fork()
        if not fork:
            os.dup2(words.fileno(), 2)
            try:
                action()
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        end = time.monotonic() + SECONDS
        done, status = os.waitpid(fork, os.WNOHANG)
        while not done:
            if time.monotonic() > end:
                os.kill(fork, signal.SIGKILL)
            time.sleep(0.001)
            done, status = os.waitpid(fork, os.WNOHANG)
        words.seek(0)
        return os.waitstatus_to_exitcode(status), words.read()[-2000:]


def dies(chosen: Iterable[Case]) -> bool:
    """Whether a fork that does these calls ends badly, or never."""

    def all_of_them() -> None:
        for case in chosen:
            call(case)

    return forked(all_of_them)[0] != 0


def child(whats: Iterable[str]) -> None:
    """Under the checker: each case that corrupts as a line of JSON, then what was tried."""
    import torch

    tried = 0
    for dtype in ("float32", "bfloat16"):
        for _, group in itertools.groupby(cases(dtype, whats), lambda case: case[:7]):
            chosen = list(group)
            tried += len(chosen)
            if dies(chosen):
                for case in chosen:
                    if dies([case]):
                        print(json.dumps({"case": case}), flush=True)
    print(json.dumps({"tried": tried, "torch": torch.__version__}), flush=True)


def environment(isa: str | None) -> dict[str, str]:
    """The variables under which a child's memory is watched, on one of the processor's paths or
    (None) its own."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    variables |= {"GLIBC_TUNABLES": "glibc.malloc.check=3", "LD_PRELOAD": DEBUG}
    variables |= {"OMP_NUM_THREADS": "1"}
    return variables | ({"ONEDNN_MAX_CPU_ISA": isa} if isa else {})


def sweep(isa: str, whats: Iterable[str]) -> tuple[list[Case], dict[str, Any]]:
    """The corrupting cases on a path, and what was tried."""
    words = [sys.executable, "-m", "benchmarks.memory_sweep", "--child"]
    words += [word for what in whats for word in ("--what", what)]
    output = subprocess.run(
        words, env=environment(isa), stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    faults = [Case(*line["case"]) for line in lines if "case" in line]
    return [case._replace(stride=tuple(case.stride)) for case in faults], lines[-1]  # type: ignore[arg-type]


def guarded(case: Case) -> bool:
    """Whether our backward functions keep this call from torch."""
    import torch

    from common.backends.torch_convolution import corrupts

    fmt, dtype = getattr(torch, case.layout), getattr(torch, case.dtype)
    groups = case.groups or case.inputs
    x = torch.empty(case.batch, case.inputs, case.size, case.size, dtype=dtype, memory_format=fmt)
    W = torch.empty(case.outputs, case.inputs // groups, case.kernel, case.kernel, dtype=dtype)
    pad = (case.padding, case.padding)
    return case.what in ("weights", "bias") and corrupts(x, W, case.stride, pad, groups)


def parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--isa", choices=ISAS, action="append", help="Instruction set (default: all, one by one)."
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--what", choices=WHATS, action="append", help="What to run (default: all)."
    )
    return parser


def main() -> int:
    """Sweep, print, and say whether the guard holds."""
    options = parser().parse_args()
    whats = options.what or WHATS
    if options.child:
        child(whats)
        return 0
    missed = 0
    for isa in options.isa or ISAS:
        faults, tried = sweep(isa, whats)
        print(
            f"torch {tried['torch']}, oneDNN up to {isa}: {len(faults)} of {tried['tried']} "
            "calls corrupt",
            flush=True,
        )
        for kind, group in itertools.groupby(faults, lambda case: case[:7]):
            seen = list(group)
            values = {
                n: sorted({getattr(c, n) for c in seen}) for n in ("inputs", "outputs", "size")
            }
            print("  ", dict(zip(Case._fields, kind, strict=False)) | values)
        outside = [case for case in faults if not guarded(case)]
        missed += len(outside)
        for case in outside:
            print(f"   NOT GUARDED: {case}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
