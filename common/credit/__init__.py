"""What an update is worth: beside backprop's gradient, for our rules and for anybody's.

`compare` (any update of a PyTorch model) and `compare_arrays` (any arrays); fetched when asked for,
so that importing this needs no framework.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from common.credit.comparison import Comparison, LayerCredit, compare_arrays
    from common.credit.torch_compare import compare

__all__ = ["Comparison", "LayerCredit", "compare", "compare_arrays"]


def __getattr__(name: str) -> Any:
    if name == "compare":
        from common.credit import torch_compare

        return torch_compare.compare
    if name in __all__:
        from common.credit import comparison

        return getattr(comparison, name)
    raise AttributeError(f"module 'common.credit' has no attribute {name!r}")
