"""BrainProp as a loss, for any torch classifier whose last layer is linear:

    >>> import torch
    >>> from brainprop.pytorch import BrainPropLoss
    >>> from torch.nn import Linear, ReLU, Sequential
    >>> model = Sequential(Linear(64, 32), ReLU(), Linear(32, 10))
    >>> loss = BrainPropLoss(epsilon=0.02)
    >>> images, labels = torch.rand(128, 64), torch.randint(10, (128,))
    >>> loss(model(images), labels).backward()

The loss takes an action for every sample and is 0.5 delta^2 of that one, so that what automatic
differentiation brings down is -delta times the attention of the unit selected (brainprop, 5.1).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from brainprop.pytorch import rule
from common.doors.arguments import integer, number
from common.errors import ArgumentError

# What autograd calls the last operation of a model that does not end in values.
SQUASHED = {
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log-softmax",
    "SigmoidBackward0": "sigmoid",
    "TanhBackward0": "tanh",
    "ReluBackward0": "ReLU",
}


class BrainPropLoss(nn.Module):
    """Mean or sum of 0.5 delta^2 over a batch, delta that of the action taken.

    epsilon     how often an action is drawn from softmax(q) instead of being the best, in [0, 1]
    batch_size  B, by which the sum is divided; the paper has one B for all batches, a smaller last
                one included (brainprop, D10). With accumulation: of all that is added up. None:
                each batch by its own n
    select      a selection of your own, q `(n, C)`, which carries no gradient, to actions `(n,)`;
                epsilon is then not used
    generator   of the draws

    After `eval()` the best action is taken. Values of fewer than 32 bits are widened first.

    Raises ArgumentError for a number out of its range; called, for values q that are not `(n, C)`
    with C >= 2 or that come out of a softmax or another activation, for actions that are no
    integers of the network's, and for labels as `common.doors.torch_labels` does.
    """

    def __init__(
        self,
        epsilon: float = rule.EPSILON,
        *,
        batch_size: int | None = None,
        select: Callable[[Tensor], Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if select is not None and not callable(select):
            raise ArgumentError("select", f"(={select}) must be a function of q, or None")
        self.epsilon = number("epsilon", epsilon, least=0, most=1)
        self.batch_size = None if batch_size is None else integer("batch_size", batch_size)
        self.select, self.generator = select, generator

    def forward(self, q: Tensor, labels: Tensor) -> Tensor:
        """() from values q `(n, C)`, the model's outputs, and labels, classes or one-hot."""
        _are_values(q)
        q = q.float() if q.dtype.itemsize < 4 else q
        size = len(q) if self.batch_size is None else self.batch_size
        return rule.brainprop_loss(q, self.actions(q), labels, batch_size=max(size, 1))

    def actions(self, q: Tensor) -> Tensor:
        """The actions `(n,)` taken for values q `(n, C)`; drawn anew at each call."""
        if not self.training:
            return rule.first_best(q.detach())
        if self.select is not None:
            return self.select(q.detach())
        return rule.select(q, epsilon=self.epsilon, generator=self.generator)

    def extra_repr(self) -> str:
        """The settings, for `print(loss)`."""
        return f"epsilon={self.epsilon}, batch_size={self.batch_size}, select={self.select}"


def _are_values(q: Tensor) -> None:
    """ArgumentError for what cannot be the values of actions."""
    if not isinstance(q, Tensor):
        kind = type(q).__name__
        raise ArgumentError("q", f"(of type {kind}) must be a tensor (n, C), the model's outputs")
    if q.dim() != 2 or q.shape[1] < 2 or not q.is_floating_point():
        problem = f"(shape {tuple(q.shape)}, {q.dtype}) must be (n, C), a value for each of C >= 2"
        raise ArgumentError("q", problem)
    if torch.compiler.is_compiling() or q.grad_fn is None:
        return
    last = SQUASHED.get(q.grad_fn.name())
    if last is not None:
        raise ArgumentError("q", f"comes out of a {last}: give what goes in, the values of a "
                            "linear layer")  # fmt: skip
