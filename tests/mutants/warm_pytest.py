"""Runs pytest many times, each in a fork of one process that has imported the heavy modules once.

    python -I -B tests/mutants/warm_pytest.py torch tensorflow

reads one JSON object a line, {"folder": ..., "arguments": [...], "output": file}, runs pytest with
these arguments in that folder, writes what it says to the file, and answers with its exit code.
Only `tests.mutations` uses it: importing torch takes longer than the tests that notice a defect.
"""

import contextlib
import importlib
import json
import os
import sys


def main(modules: list[str]) -> None:
    """Answer until standard input ends. Modules that are not installed are left out."""
    for name in ["pytest", *modules]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(run(task["folder"], task["arguments"], task["output"]))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(folder: str, arguments: list[str], output: str) -> int:
    """pytest in this process, as if it had been started in `folder`."""
    import pytest

    os.chdir(folder)
    sys.path.insert(0, folder)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    code = int(pytest.main(arguments))
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    main(sys.argv[1:])
