"""The rule of LRA-E in PyTorch (Ororbia & Mali, AAAI 2019, arXiv 1805.11703).

Symbols, batch first (B images, layer l = 1..L of width n_l, z^0 = the images):

    W^l (n_{l-1}, n_l)   forward weights            h^l = z^{l-1} W^l,  z^l = phi(h^l)
    E^l (n_l, n_{l-1})   error weights, l >= 2      play the part of (W^l) transposed
    e^l (B, n_l)         error                      e^L = softmax(h^L) - onehot(label)
    d^l (B, n_l)         displacement               d^{l-1} = e^l E^l
    y^l (B, n_l)         local target               y^l = phi(h^l - beta d^l),  e^l = z^l - y^l

The update of W^l is the outer product of its input and its error, that of E^l is gamma times the
transpose of the same; no derivative of phi and no forward weight takes part in sending errors down.

    >>> import torch
    >>> from lra_e.torch_rule import MLP
    >>> model = MLP([784, 256, 256, 10])
    >>> optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    >>> images, labels = torch.rand(50, 784), torch.randint(10, (50,))
    >>> update = model.compute_lra_update(images, labels)
    >>> model.apply_update(update, optimiser)
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.backends.torch_backend import autocasts
from common.doors import torch_images, torch_labels
from common.doors.arguments import number
from common.errors import ArgumentError
from lra_e.networks import Activation, Network, Shapes, Update


def _tanh_change(h: Tensor, z: Tensor, s: Tensor) -> Tensor:
    # tanh a - tanh b = tanh(a - b) (1 - tanh a tanh b). Only the first factor can be tiny and needs
    # torch.tanh; in the second tanh b = 2 sigmoid(2b) - 1 will do, at an eighth of the price.
    b = h - s
    half_y = torch.add(b, b, out=b).sigmoid_().sub_(0.5)
    t = s.tanh()
    return torch.addcmul(t, t * z, half_y, value=-2)


def _sigmoid_change(h: Tensor, z: Tensor, s: Tensor) -> Tensor:
    y = (h - s).sigmoid_()
    return (s / 2).tanh_() * (1 - (2 * z - 1) * (2 * y - 1)) / 2


def _relu_change(h: Tensor, z: Tensor, s: Tensor) -> Tensor:
    y = (h - s).relu_()
    return torch.where((z > 0) & (y > 0), s, z - y)


ACTIVATIONS: dict[str, Activation[Tensor]] = {
    "tanh": Activation(torch.tanh, lambda h, z: 1 - z * z, _tanh_change),
    "sigmoid": Activation(torch.sigmoid, lambda h, z: z * (1 - z), _sigmoid_change),
    "relu": Activation(torch.relu, lambda h, z: (h > 0).to(h.dtype), _relu_change),
    "linear": Activation(lambda h: h, lambda h, z: torch.ones_like(h), lambda h, z, s: s.clone()),
    # The rule needs no derivative, so it also trains units that have none.
    "sign": Activation(
        torch.sign, lambda h, z: torch.zeros_like(h), lambda h, z, s: z - torch.sign(h - s)
    ),
}


def _in_own_precision(method: Callable[..., Update[Tensor]]) -> Callable[..., Update[Tensor]]:
    """Without autocast: what the rule subtracts and divides keeps the digits of the weights."""

    @functools.wraps(method)
    def run(model: "MLP", *arguments: Any, **named: Any) -> Update[Tensor]:
        device = model._zero.device
        if not autocasts(device):
            return method(model, *arguments, **named)
        with torch.autocast(device.type, enabled=False):
            return method(model, *arguments, **named)

    return run


class MLP(Network, nn.Module):
    """A fully connected network that LRA-E trains; names are those that the paper's README gives.

    Arguments as `lra_e.networks.Network` tells. W, E and b (None without biases) are lists of
    parameters; assign to `W[i].data`, `E[i].data` for another start.

    Images (B, n_0) are tensors or arrays of any floating type, labels what
    `common.doors.torch_labels` takes. `requires_grad_(False)` freezes a tensor. Updates are
    computed in the weights' own type, under autocast too.
    """

    _zero: Tensor

    def _draw(self, shapes: Shapes, dtype: torch.dtype | None, device: Any) -> None:
        if dtype is not None and not dtype.is_floating_point:
            raise ArgumentError("dtype", f"(={dtype}) must be a floating type")
        self.register_buffer("_zero", torch.zeros((), dtype=dtype, device=device), persistent=False)

        def weights(name: str, std: float) -> nn.ParameterList:
            made = (torch.randn(s, dtype=dtype, device=device) * std for s in shapes[name])
            return nn.ParameterList(nn.Parameter(w) for w in made)

        self.W, self.E = weights("W", 0.1), weights("E", 0.1)
        self.b = weights("b", 0.0) if "b" in shapes else None

    @property
    def _phi(
        self,
    ) -> Activation[Tensor]:  # not an attribute: functions without a name are not pickled
        return ACTIVATIONS[self.activation]

    def activities(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Pre-activations h^1..h^L and activities z^0..z^{L-1} of images x (B, n_0)."""
        h: list[Tensor] = []
        z = [torch_images.batch(x, self.W[0], self.layer_sizes[:1])]
        for i, W in enumerate(self.W):
            h.append(z[i] @ W if self.b is None else torch.addmm(self.b[i], z[i], W))
            if i < len(self.W) - 1:
                z.append(self._phi.phi(h[i]))
        return h, z

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, n_L) of images x (B, n_0)."""
        return self.activities(x)[0][-1]

    def compute_output(self, x: Tensor) -> Tensor:
        """The same as `forward`, under the original's name, without a graph."""
        with torch.no_grad():
            return self(x)

    @_in_own_precision
    @torch.no_grad()
    def compute_lra_update(
        self,
        x: Tensor,
        labels: Tensor,
        into: Sequence[Tensor] | None = None,
        detail: bool = True,
    ) -> Update[Tensor]:
        """Errors, targets and descent directions for images x (B, n_0) and labels; changes nothing.

        labels are classes (B,) or rows (B, n_L), one-hot or a distribution. Descent directions of W
        are written into the tensors `into` where given. detail=False leaves d, y and gE out.
        """
        h, z = self.activities(x)
        loss, error = _output_error(h[-1], labels)
        e: list[Tensor] = [error]
        d: list[Tensor] = []
        y: list[Tensor] = []
        for i in range(len(self.W) - 1, 0, -1):
            # s = beta d, scaled inside the product
            s = torch.addmm(self._zero, e[0], self.E[i - 1], beta=0, alpha=self.beta)
            change = self._change(h[i - 1], z[i], s)
            if detail:
                d.insert(0, s / self.beta)
                y.insert(0, z[i] - change)
            e.insert(0, self._local_error(change))
        gW, gb = self._outer(z, e, into), self._bias_update(e)
        if not detail:
            return Update(loss, h[-1], e, None, None, gW, None, gb)
        gE = [self.error_weight_update(i, gW[i]) for i in range(1, len(gW))]
        return Update(loss, h[-1], e, d, y, gW, gE, gb)

    @_in_own_precision
    @torch.no_grad()
    def compute_backprop_update(
        self, x: Tensor, labels: Tensor, into: Sequence[Tensor] | None = None
    ) -> Update[Tensor]:
        """The gradient of the same network's cross-entropy (batch mean or sum), E untouched."""
        h, z = self.activities(x)
        loss, error = _output_error(h[-1], labels)
        e = [error]
        for i in range(len(self.W) - 1, 0, -1):
            back = e[0] @ self.W[i].t()
            if self.activation == "tanh":
                e.insert(0, torch.ops.aten.tanh_backward(back, z[i]))
            else:
                e.insert(0, back * self._phi.derivative(h[i - 1], z[i]))
        gW, gb = self._outer(z, e, into), self._bias_update(e)
        return Update(loss, h[-1], e, None, None, gW, None, gb)

    @torch.no_grad()
    def backward(self, x: Tensor, labels: Tensor, lr: float = 0.001) -> Update[Tensor]:
        """Backprop and one step of plain gradient descent on W (and trained b), in place; what is
        frozen stays."""
        lr = number("lr", lr, least=0)
        update = self.compute_backprop_update(x, labels)
        for parameter, direction in self._pairs(update):
            parameter.sub_(direction, alpha=lr)
        return update

    def apply_update(self, update: Update[Tensor], optimiser: torch.optim.Optimizer) -> None:
        """Hand an update to any torch optimiser as `.grad` and step; no update, no `.grad`.

        A frozen tensor (requires_grad=False) has none, nor has E with gamma = 0: optimisers leave
        them as they are, their weight decay included.
        """
        self.zero_grad(set_to_none=True)
        for parameter, direction in self._pairs(update):
            # In the parameter's own layout: torch's fused optimisers do not look at strides.
            parameter.grad = torch.empty_like(parameter).copy_(direction)
        optimiser.step()

    def _pairs(self, update: Update[Tensor]) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each tensor that learns with its descent direction."""
        gE = update.gE if self.gamma else None
        for tensors, directions in ((self.W, update.gW), (self.E, gE), (self.b, update.gb)):
            if directions is not None:
                for tensor, direction in zip(tensors or (), directions, strict=True):
                    if tensor.requires_grad:
                        yield tensor, direction

    def _change(self, h: Tensor, z: Tensor, s: Tensor) -> Tensor:
        """z - y of one hidden layer whose pre-activation h the displacement s moves."""
        if self.error_form == "exact":
            return self._phi.change(h, z, s)
        return z - self._phi.phi(h - s)

    def _local_error(self, change: Tensor) -> Tensor:
        """The gradient of the local loss at z - y."""
        return change if self.local_loss == "gaussian" else 2 * change / (1 + change * change)

    def _outer(
        self, z: list[Tensor], e: list[Tensor], into: Sequence[Tensor] | None
    ) -> list[Tensor]:
        """(z^{l-1}) transposed times e^l, averaged or summed over the batch."""
        scale = 1 / len(z[0]) if self.reduction == "mean" else 1.0
        out = list(into) if into is not None else [torch.empty_like(W) for W in self.W]
        for g, below, error in zip(out, z, e, strict=True):
            torch.addmm(g, below.t(), error, beta=0, alpha=scale, out=g)
            if self.normalise:
                g.div_(g.norm() + 1e-8)
        return out

    def error_weight_update(self, i: int, gW: Tensor) -> Tensor:
        """Descent direction of E^{i+1} (python index i of W) from that of W^{i+1}."""
        wrong = self.transposed_e and i < len(self.W) - 1
        if wrong and gW.shape[0] != gW.shape[1]:
            raise ArgumentError(
                "transposed_e", f"(=True) needs equal hidden widths, got {self.layer_sizes}"
            )
        return self.gamma * (gW if wrong else gW.t())

    def _bias_update(self, e: list[Tensor]) -> list[Tensor] | None:
        if self.b is None or not self.train_bias:
            return None
        return [error.mean(0) if self.reduction == "mean" else error.sum(0) for error in e]


def _output_error(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy () and e^L = softmax(logits) - onehot (B, n_L)."""
    labels = torch_labels.classes_or_rows(labels, logits)
    log_p = torch.log_softmax(logits, 1)
    if labels.dim() == 2:
        each = (labels * log_p).sum(1, keepdim=True)  # averaged by the routine that classes take
        first = torch.zeros(len(each), dtype=torch.int64, device=each.device)
        return nn.functional.nll_loss(each, first), log_p.exp() - labels
    loss = nn.functional.nll_loss(log_p, labels)
    rows = torch.arange(len(labels), device=labels.device)
    log_p.exp_()[rows, labels] -= 1
    return loss, log_p
