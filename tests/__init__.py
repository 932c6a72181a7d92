"""The tests. Importing this package makes torch and TensorFlow loadable in one process.

Triton (which torch's optimisers import) and TensorFlow each bring an LLVM; Triton's aborts the
process when it comes second, so it is imported first, but only when TensorFlow is about to be.
"""

import contextlib
import importlib
import sys
from importlib.abc import MetaPathFinder


class TritonBeforeTensorFlow(MetaPathFinder):
    """Finds nothing; sees `import tensorflow` coming and imports triton, where it is installed."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "tensorflow":
            sys.meta_path.remove(self)
            with contextlib.suppress(ImportError):
                importlib.import_module("triton")
        return None


if "tensorflow" not in sys.modules:
    sys.meta_path.insert(0, TritonBeforeTensorFlow())
