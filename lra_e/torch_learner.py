"""Training LRA-E in PyTorch: the rule, an optimiser, and as few calls a step as they allow.

All W lie in one flat buffer, so that the optimiser is one call and descent directions are written
where it reads them. With gamma = 1 the optimiser moves E as it moves the transpose of W: both get
the same directions, hence the same moments, and only weight decay acts on their difference,

    E_t - (W_t)^T = (1 - lr decay) (E_{t-1} - (W_{t-1})^T)

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
from lra_e.networks import RULES, Update
from lra_e.torch_rule import MLP

MakeOptimiser = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


class Learner:
    """A learner (see `common.backends.protocols`) around an `MLP`, whose parameters become views of
    flat buffers.

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

    def _shared_decay(self) -> float | None:
        """The factor by which a step shrinks E - W^T, where that is all that a step does to it."""
        if self.model.gamma != 1 or self.model.transposed_e or not self.model.E:
            return None
        group = self.optimiser.param_groups[0]
        if isinstance(self.optimiser, torch.optim.AdamW) or (
            isinstance(self.optimiser, torch.optim.SGD)
            and not (group["momentum"] and group["weight_decay"])
        ):
            return torch_optim.held(1 - group["lr"] * group["weight_decay"], self._flat)
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
        if self._decay is not None:
            self._flat_E.sub_(self._upper)
        self.optimiser.step()
        if self._decay is not None:
            torch.add(self._upper, self._flat_E, alpha=self._decay, out=self._flat_E)
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
        rule = self._update(images, labels).gW
        true = self.model.compute_backprop_update(images, labels).gW
        return {f"W{i}": pair for i, pair in enumerate(zip(rule, true, strict=True), 1)}

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
        """W, b, E, and the optimiser's; tensors are not copies."""
        model = self.model
        state: dict[str, Any] = {f"W{i}": W.data for i, W in enumerate(model.W, 1)}
        state |= {f"b{i}": b.data for i, b in enumerate(model.b or (), 1)}
        state |= {f"E{i}": E.data for i, E in enumerate(model.E, 2)}
        return state | torch_optim.state(self.optimiser)

    @torch.no_grad()
    def load_state(self, state: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        mine = self.state()
        for name, value in mine.items():
            if isinstance(value, Tensor):
                value.copy_(state[name])
        torch_optim.load_state(self.optimiser, state)

    def _look_at_model(self) -> None:
        """ArgumentError where its W lie in our buffer no longer."""
        first = self.model.W[0]
        if first.dtype != self._flat.dtype or first.data_ptr() != self._flat.data_ptr():
            raise ArgumentError(
                "model", "was converted or moved after its learner was made; make the learner after"
            )

    def _update(
        self, images: Tensor, labels: Tensor, into: Sequence[Tensor] | None = None
    ) -> Update[Tensor]:
        if self.rule == "bp":
            return self.model.compute_backprop_update(images, labels, into)
        return self.model.compute_lra_update(images, labels, into, detail=False)

    def _copy_error_weight_update(self, update: Update[Tensor]) -> None:
        if not self.model.transposed_e:
            torch.mul(self._upper_gradients, self.model.gamma, out=self._gradients_E)
            return
        views = _views_like(self._gradients_E, self._E)
        for i, view in enumerate(views, 1):
            view.copy_(self.model.error_weight_update(i, update.gW[i]).t())


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
