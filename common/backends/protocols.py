"""What a run asks of a learner, its framework, its data and its processes.

Types alone: nobody needs to inherit from them, and no framework is imported. A tensor is of the
learner's framework, and `Any` here. What an audit asks stands a floor below, in
`common.credit.audit`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from common.credit.audit import Audited, AuditedBackend, Sampled

Batch = tuple[Any, Any]  # images, labels
State = dict[str, Any]  # tensors, numbers and texts by name


class Backend(AuditedBackend, Protocol):
    """A framework: the module `common.backends.torch_backend` or `common.backends.tf_backend`."""

    def is_tensor(self, value: Any) -> bool: ...
    def describe(self, tensor: Any) -> dict[str, Any]: ...
    def identity(self, tensor: Any) -> Any: ...
    def save_tensors(self, path: Path, tensors: Mapping[str, Any]) -> None: ...
    def load_tensors(self, path: Path) -> dict[str, Any]: ...
    def to_floats(self, values: Iterable[Any]) -> list[float]: ...
    def synchronise(self) -> None: ...
    def hardware(self, device: Any = None) -> dict[str, Any]: ...


class Learner(Audited, Protocol):
    """What trains, in any framework. Beside these methods it may have

    parameters()   how many numbers learn
    feedback()     layer -> (forward, feedback weights) in one layout
    rule           its name, where no option of the script says it
    counts         names of what the two steps count beside the number correct ("top5",): they
                   return that too, and it is logged as an accuracy
    """

    @property
    def backend(self) -> Backend: ...

    def train_step(self, images: Any, labels: Any) -> Sequence[Any]:
        """Learn from a batch; its mean loss and number correct before that, as device scalars."""

    def eval_step(self, images: Any, labels: Any) -> Sequence[Any]:
        """The same figures, changing nothing."""

    def state(self) -> State:
        """Everything that training changes, under structural names; not copies."""

    def load_state(self, state: State) -> None:
        """Put back what `state` gave."""


@runtime_checkable
class Counted(Protocol):
    """A learner that knows how many numbers learn."""

    def parameters(self) -> int: ...


class Epochs(Sampled, Protocol):
    """Training batches, as `common.data.batches` and `common.data.torch_stream` make them."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """Those of an epoch, from batch `start`."""


class World(Protocol):
    """This process among those that train along: `common.backends.torch_distributed.World`, or
    `common.backends.single_process.SingleProcess`."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def main(self) -> bool: ...

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Every process's numbers, by rank, for every process."""
