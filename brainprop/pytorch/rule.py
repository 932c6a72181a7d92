"""The rule of BrainProp in PyTorch, for anybody's model whose last layer is linear without bias:

    >>> import torch
    >>> from brainprop.pytorch.rule import brainprop_loss, select
    >>> model = torch.nn.Linear(784, 10, bias=False)
    >>> optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> images, labels = torch.rand(128, 784), torch.randint(10, (128,))
    >>> q = model(images)                          # (n, C): values of the actions
    >>> selected = select(q)                       # one action a sample
    >>> loss = brainprop_loss(q, selected, labels, batch_size=128)
    >>> loss.backward()                            # backprop of the selected unit alone
    >>> optimiser.step()

Names are those of `brainprop.rule`, the same in TensorFlow: reward r = 1 where the action is the
label, delta = r - q_s, loss = sum of 0.5 delta^2 / B with B the nominal batch size. All credit
comes down from the selected unit through the transposed weights, times delta, by autograd.
The networks of the paper are in `brainprop.pytorch.networks`. Imports no TensorFlow. Labels are
what `common.doors.torch_labels` takes; it, and everything here, raises ArgumentError for a value, a
shape or a type that an argument cannot have.
"""

import torch
from torch import Tensor

from common.doors.arguments import integer, number
from common.doors.torch_labels import classes
from common.errors import ArgumentError

EPSILON = 0.02  # how often an action is drawn instead of being the best one


def select(
    q: Tensor,
    u: Tensor | None = None,
    drawn: Tensor | None = None,
    *,
    epsilon: float = EPSILON,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Max-Boltzmann selection: the actions `(n,)` int64 for q `(n, C)`; carries no gradient.

    u      `(n,)` float32, uniform on [0, 1): where u > epsilon (strictly) the best action is taken,
           the first one of equals; None draws them
    drawn  `(n,)` the actions elsewhere; None draws them from softmax(q), the best one among them
    """
    epsilon, values = number("epsilon", epsilon, least=0, most=1), q.detach()
    if q.dim() != 2:
        raise ArgumentError("q", f"(shape {tuple(q.shape)}) must be (n, C)")
    for name, given in (("u", u), ("drawn", drawn)):
        if given is not None and given.shape != q.shape[:1]:
            raise ArgumentError(name, f"(shape {tuple(given.shape)}) must be ({len(q)},)")
    if u is None:
        u = torch.rand(len(q), device=q.device, generator=generator)
    if drawn is None:
        drawn = torch.multinomial(torch.softmax(values, 1), 1, generator=generator)[:, 0]
    exploit = u > torch.tensor(epsilon, dtype=u.dtype, device=u.device)
    return torch.where(exploit, first_best(values), drawn)


def first_best(values: Tensor) -> Tensor:
    """argmax `(n,)` of each row, the first among equals, of which torch.argmax takes any."""
    best = values == values.amax(1, keepdim=True)
    columns = torch.arange(values.shape[1], device=values.device)
    return torch.where(best, columns, values.shape[1] - 1).amin(1)


def prediction_error(
    q: Tensor, selected: Tensor, labels: Tensor, *, zero_is_unselected: bool = False
) -> Tensor:
    """delta = r - q_s `(n,)`. zero_is_unselected (brainprop, D9): none where q_s is exactly 0."""
    selected, labels = classes(selected, q, "selected"), classes(labels, q)
    q_s = q.gather(1, selected[:, None])[:, 0]
    delta = (selected == labels).to(q.dtype) - q_s
    return torch.where(q_s == 0, torch.zeros_like(delta), delta) if zero_is_unselected else delta


def brainprop_loss(
    q: Tensor,
    selected: Tensor,
    labels: Tensor,
    *,
    batch_size: int,
    zero_is_unselected: bool = False,
) -> Tensor:
    """Sum of 0.5 delta^2 / B, B = `batch_size` also where the batch is smaller (brainprop, D10).

    Its gradient by q is -(delta / B) at the selected unit and 0 at all others.
    """
    batch_size = integer("batch_size", batch_size)
    delta = prediction_error(q, selected, labels, zero_is_unselected=zero_is_unselected)
    return 0.5 * delta.square().sum() / batch_size


def evaluation_loss(q: Tensor, labels: Tensor, *, batch_size: int) -> Tensor:
    """What the loss says of the best actions shown as 1: 0.5 a wrong answer, averaged as Keras
    averages over batches of B, where a smaller one of n counts n / B times (brainprop, D10)."""
    batch_size, labels = integer("batch_size", batch_size), classes(labels, q)
    wrong = (first_best(q) != labels).to(q.dtype)
    rest = len(q) % batch_size
    if rest:
        wrong[-rest:] *= rest / batch_size
    return 0.5 * wrong.mean()


def correct_as_the_original(q: Tensor, selected: Tensor, labels: Tensor) -> Tensor:
    """Number () of labels that are the argmax of onehot(s) q (brainprop, D8): where q_s < 0 that
    argmax is the first zero entry, whatever was selected."""
    selected, labels = classes(selected, q, "selected"), classes(labels, q)
    shown = torch.zeros_like(q).scatter(1, selected[:, None], q.gather(1, selected[:, None]))
    return (first_best(shown) == labels).sum()
