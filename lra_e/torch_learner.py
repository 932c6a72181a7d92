"""Training LRA-E in PyTorch: the rule, an optimiser, and as few calls a step as they allow.

All W lie in one flat buffer, so that the optimiser is one call and descent directions are written
where it reads them. With gamma = 1 the optimiser moves E as it moves the transpose of W: both get
the same directions, hence the same moments, and only weight decay acts on their difference,

    E_t = (W_t)^T + (1 - lr decay)^t (E_0 - (W_0)^T)

so E needs no optimiser of its own. Any other optimiser or gamma trains E beside W; with gamma = 0
E stays as it starts, under any weight decay.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.backends import torch_backend, torch_optim
from common.doors import torch_labels
from common.errors import ArgumentError, unknown
from lra_e.torch_rule import MLP, Update

RULES = ("lra_e", "bp", "fixed_e")
MakeOptimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Learner:
    """A learner (see `common.runs.run`) around an `MLP`, whose parameters become views of flat
    buffers.

    rule                 "lra_e", "bp" (backprop, E untouched) or "fixed_e" (E stays as it starts)
    make_optimiser       parameters -> torch optimiser; it must treat every number alike
                         (SGD, Adam and their kin do), for it sees one flat parameter
    report_after_update  (lra_e, D6): training loss and accuracy of the batch just trained on

    W and E that `load_state_dict` or a user's own assignment in place changes are trained on from
    there. Raises ArgumentError for a model with frozen tensors, which one buffer cannot leave out,
    and in the next step for one that was converted (`.double()`, `.to(...)`) under the learner.
    """

    backend = torch_backend

    def __init__(
        self,
        model: MLP,
        make_optimiser: MakeOptimiser,
        rule: str = "lra_e",
        report_after_update: bool = False,
    ) -> None:
        if rule not in RULES:
            raise unknown("rule", rule, RULES)
        _demand_unfrozen(model)
        self.model, self.rule, self._report_after = model, rule, report_after_update
        biases = list(model.b) if model.b is not None and model.train_bias else []
        self._flat, views = _flatten([*model.W, *biases])
        self._gradients = torch.zeros_like(self._flat)
        parts = _views_like(self._gradients, views)
        self._gW, self._gb = parts[: len(model.W)], parts[len(model.W) :]
        first = model.W[0].numel()
        hidden = slice(first, sum(W.numel() for W in model.W))  # W^2 .. W^L
        self._upper, self._upper_gradients = self._flat[hidden], self._gradients[hidden]
        # E is kept in the layout of W, so that one call serves all its layers.
        self._flat_E, self._E = _flatten([E.data.t() for E in model.E])
        for E, view in zip(model.E, self._E, strict=True):
            E.data = view.t()
        parameter = nn.Parameter(self._flat)
        parameter.grad = self._gradients
        parameters = [parameter]
        self.optimiser = make_optimiser(parameters)
        self._decay = self._shared_decay() if rule == "lra_e" else None
        self._learns_E = rule == "lra_e" and model.gamma != 0
        self._trains_E = self._learns_E and self._decay is None
        if self._trains_E:
            self._gradients_E = torch.zeros_like(self._flat_E)
            parameters.append(nn.Parameter(self._flat_E))
            parameters[1].grad = self._gradients_E
            self.optimiser = make_optimiser(parameters)
        torch_optim.materialise(self.optimiser)
        self._scale = 1.0
        if self._decay is not None:
            self._difference = self._flat_E - self._upper
        self._seen = self._versions()

    def _shared_decay(self) -> float | None:
        """The factor by which a step shrinks E - W^T, where that is all that a step does to it."""
        if self.model.gamma != 1 or self.model.transposed_e or not self.model.E:
            return None
        group = self.optimiser.param_groups[0]
        if isinstance(self.optimiser, torch.optim.AdamW) or (
            isinstance(self.optimiser, torch.optim.SGD)
            and not (group["momentum"] and group["weight_decay"])
        ):
            return 1 - group["lr"] * group["weight_decay"]
        return None

    @torch.no_grad()
    def train_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One update from images (B, n_0) and labels (B,); mean loss and number correct before."""
        self._look_at_model()
        update = self._update(images, labels, self._gW)
        for gradient, mean in zip(self._gb, update.gb or (), strict=True):
            gradient.copy_(mean)
        if self._trains_E:
            self._copy_error_weight_update(update)
        self.optimiser.step()
        if self._decay is not None:
            self._scale *= self._decay
            scale = torch_optim.held(self._scale, self._upper)
            torch.add(self._upper, self._difference, alpha=scale, out=self._flat_E)
        if self._report_after:
            return self.eval_step(images, labels)
        return update.loss, torch_labels.correct(update.logits, labels)

    @torch.no_grad()
    def eval_step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss and number correct."""
        logits = self.model(images)
        labels = torch_labels.classes(labels, logits)
        return nn.functional.cross_entropy(logits, labels), torch_labels.correct(logits, labels)

    def credit(self, images: Tensor, labels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """For each layer's W the rule's descent direction and backprop's gradient."""
        rule, true = (
            self._update(images, labels),
            self.model.compute_backprop_update(images, labels),
        )
        pairs = zip(rule.gW, true.gW, strict=True)
        return {f"W{i}": pair for i, pair in enumerate(pairs, 1)}

    def feedback(self) -> dict[str, tuple[Tensor, Tensor]]:
        """(W^l)^T beside E^l for l = 2..L; nothing for backprop, which does not use E."""
        if self.rule == "bp":
            return {}
        pairs = zip(self.model.W[1:], self.model.E, strict=True)
        return {f"E{i}": (W.t(), E) for i, (W, E) in enumerate(pairs, 2)}

    def parameters(self) -> int:
        """How many numbers learn: W, trained b, and E unless it is fixed or unused."""
        return self._flat.numel() + (self._flat_E.numel() if self._learns_E else 0)

    def state(self) -> dict[str, Any]:
        """W, b, E (where it follows W its difference from W instead), and the optimiser's."""
        model = self.model
        found: dict[str, Any] = {f"W{i}": W.data for i, W in enumerate(model.W, 1)}
        found |= {f"b{i}": b.data for i, b in enumerate(model.b or (), 1)}
        if self._decay is None:
            found |= {f"E{i}": E.data for i, E in enumerate(model.E, 2)}
        else:
            found |= {f"E{i}.difference": d for i, d in self._differences()} | {
                "E.scale": self._scale
            }
        return found | torch_optim.state(self.optimiser)

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        mine = self.state()
        for name, value in mine.items():
            if isinstance(value, Tensor):
                value.copy_(state[name])
        torch_optim.load_state(self.optimiser, state)
        if self._decay is not None:
            self._scale = state["E.scale"]
            scale = torch_optim.held(self._scale, self._upper)
            torch.add(self._upper, self._difference, alpha=scale, out=self._flat_E)

    def _versions(self) -> int:
        """Grows with every change in place that comes through W and E themselves, as ours do not:
        those go through the buffers."""
        return sum(t._version for t in (*self.model.W, *self.model.E))

    def _look_at_model(self) -> None:
        """Notice what happened to the model between two steps."""
        first = self.model.W[0]
        if first.dtype != self._flat.dtype or first.data_ptr() != self._flat.data_ptr():
            raise ArgumentError("model", "was converted or moved after its learner was made; make "
                                "the learner after that")  # fmt: skip
        if self._versions() == self._seen:
            return
        if self._decay is not None:
            torch.sub(self._flat_E, self._upper, out=self._difference)
            self._scale = 1.0
        self._seen = self._versions()

    def _update(
        self, images: Tensor, labels: Tensor, into: Sequence[Tensor] | None = None
    ) -> Update:
        if self.rule == "bp":
            return self.model.compute_backprop_update(images, labels, into)
        return self.model.compute_lra_update(images, labels, into, detail=False)

    def _copy_error_weight_update(self, update: Update) -> None:
        if not self.model.transposed_e:
            torch.mul(self._upper_gradients, self.model.gamma, out=self._gradients_E)
            return
        views = _views_like(self._gradients_E, self._E)
        for i, view in enumerate(views, 1):
            view.copy_(self.model.error_weight_update(i, update.gW[i]).t())

    def _differences(self) -> list[tuple[int, Tensor]]:
        return [(i, d.t()) for i, d in enumerate(_views_like(self._difference, self._E), 2)]


def adamw(lr: float, weight_decay: float = 0.01, **more: Any) -> MakeOptimiser:
    """torch's AdamW, fused."""
    return lambda parameters: torch.optim.AdamW(
        parameters, lr=lr, weight_decay=weight_decay, fused=True, **more
    )


def sgd(lr: float, momentum: float = 0.0) -> MakeOptimiser:
    """Plain gradient descent, fused."""
    return lambda parameters: torch.optim.SGD(parameters, lr=lr, momentum=momentum, fused=True)


def _demand_unfrozen(model: MLP) -> None:
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad and (model.train_bias or not name.startswith("b.")):
            raise ArgumentError(
                "model",
                f"must not have frozen tensors ({name} is) in a learner; rule='fixed_e' keeps E, "
                "`MLP.apply_update` what is frozen",
            )


def _flatten(tensors: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One buffer that holds the tensors; parameters among them become views of it."""
    if not tensors:
        return torch.empty(0), []
    flat = torch.cat([t.detach().reshape(-1) for t in tensors])
    views = _views_like(flat, tensors)
    for tensor, view in zip(tensors, views, strict=True):
        if isinstance(tensor, nn.Parameter):
            tensor.data = view
    return flat, views


def _views_like(flat: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    parts = flat.split([t.numel() for t in tensors])
    return [part.view(t.shape) for part, t in zip(parts, tensors, strict=True)]
