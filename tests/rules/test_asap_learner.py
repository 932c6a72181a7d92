"""What ASAP's learner remembers between two steps."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="asap runs on torch")


def learner() -> Any:
    from asap.learner import Learner, sgd
    from asap.networks import make_network

    torch.manual_seed(2)
    net = make_network("convnet", "asap", width=0.04, size=16, fa_feedback="independent").double()
    return Learner(net, sgd(0.05))


def test_its_state_holds_all_that_the_next_steps_need() -> None:
    """A learned feedback weight that falls back to its start, or loses its momentum."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(6, 8, 3, 16, 16, dtype=torch.float64, generator=generator)
    labels = torch.randint(10, (6, 8), generator=generator)
    ours = learner()
    for x, y in zip(images[:3], labels[:3], strict=True):
        ours.train_step(x, y)
    kept = {k: v.clone() if torch.is_tensor(v) else v for k, v in ours.state().items()}
    other = learner()
    other.load_state(kept)
    for x, y in zip(images[3:], labels[3:], strict=True):
        ours.train_step(x, y)
        other.train_step(x, y)
    assert any("weight_fa" in name for name in ours.net.state_dict())
    for name, tensor in ours.net.state_dict().items():
        assert torch.equal(tensor, other.net.state_dict()[name]), name
