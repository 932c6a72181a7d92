"""What the tests of all papers must know of newpaper: see tests/papers/__init__.py."""

from collections.abc import Callable
from functools import partial
from typing import Any

SIZES = [6, 4, 5]


def _on_meta(rule: str) -> tuple[Any, tuple[int, ...]]:
    from newpaper.learner import Learner
    from newpaper.networks import make_network

    return Learner(make_network([6, 5, 4]), rule), (6,)


# For tests/architecture/test_meta_device.py: name -> a learner there, and the shape of an image.
META: dict[str, Callable[[], Any]] = {
    f"newpaper {rule}": partial(_on_meta, rule) for rule in ("drtp", "bp")
}


def _enter(method: str, labels: Any) -> list[Any]:
    import torch
    from newpaper.learner import Learner
    from newpaper.networks import make_network

    from tests.doors.torch_entries import flat, images

    torch.manual_seed(1)
    learner = Learner(make_network(SIZES).double())
    return flat(getattr(learner, method)(images(SIZES[0]), labels), learner.state())


# For tests/doors: every public function that takes labels -> what it computes from them.
LABELS: dict[str, Callable[[Any], list[Any]]] = {
    f"newpaper.learner.Learner.{method}": partial(_enter, method)
    for method in ("train_step", "eval_step", "credit")
}
