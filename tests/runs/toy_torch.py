"""The toy's learner in PyTorch; its dropout draws from the global generator."""

import torch
from torch import nn

from common.backends import torch_backend, torch_optim


class Learner:
    backend = torch_backend
    poison_at = None
    counts = ("top5",)

    def __init__(self, lr):
        self.net = nn.Sequential(
            nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Tanh(), nn.Dropout(0.3), nn.Linear(32, 10)
        )
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=lr)
        torch_optim.materialise(self.optimiser)
        self.steps = 0

    def _loss(self, images, labels):
        logits = self.net(images)
        five = (logits.topk(5).indices == labels[:, None]).sum()
        return nn.functional.cross_entropy(logits, labels), (logits.argmax(1) == labels).sum(), five

    def train_step(self, images, labels):
        self.net.train()
        self.optimiser.zero_grad()
        loss, *counts = self._loss(images, labels)
        loss.backward()
        self.optimiser.step()
        self.steps += 1
        if self.steps == self.poison_at:
            with torch.no_grad():
                self.net[0].weight.fill_(float("nan"))
        return loss.detach(), *counts

    @torch.no_grad()
    def eval_step(self, images, labels):
        self.net.eval()
        return self._loss(images, labels)

    def credit(self, images, labels):
        # Draws on purpose: the run must put the generator back.
        return {"first": (torch.randn(4, 4), torch.ones(4, 4))}

    def state(self):
        net = {f"net.{name}": t for name, t in self.net.state_dict().items()}
        return net | torch_optim.state(self.optimiser) | {"steps": self.steps}

    def load_state(self, state):
        self.net.load_state_dict(
            {n.removeprefix("net."): t for n, t in state.items() if n.startswith("net.")}
        )
        torch_optim.load_state(self.optimiser, state)
        self.steps = state["steps"]
