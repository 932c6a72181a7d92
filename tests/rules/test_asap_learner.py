"""What ASAP's learner remembers between two steps."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="asap runs on torch")
from common.errors import UserError  # noqa: E402
from common.runs import checkpoint  # noqa: E402


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


def test_feedback_weights_are_plain_tensors_in_its_state() -> None:
    """A checkpoint from which B must be worked out."""
    ours = learner()
    ours.train_step(torch.randn(8, 3, 16, 16).double(), torch.randint(10, (8,)))
    state, pairs = ours.state(), ours.feedback()
    assert {"convs.1", "convs.2"} <= set(pairs)
    for name, (_, B) in pairs.items():
        assert state[f"{name}.weight_fa"].data_ptr() == B.data_ptr()
    assert not [n for n in state if "difference" in n or n.startswith("feedback.")]


class Before:
    """A learner as it was before 2026-12, which held W_0 - B_0 and how much of it is left."""

    def __init__(self) -> None:
        self._now = learner()
        self.backend, self.scale = self._now.backend, 0.75
        self.net = self._now.net

    def state(self) -> dict[str, Any]:
        state = dict(self.net.state_dict())
        for name, (W, B) in self._now.feedback().items():
            del state[f"{name}.weight_fa"]
            state[f"{name}.difference"] = (W - B).detach() / self.scale
        return state | {"feedback.c": self.scale, "feedback.u": 0.001}


def test_a_checkpoint_without_feedback_weights_is_refused_by_name(tmp_path: Path) -> None:
    """A resumed run whose B begin anew."""
    folder = checkpoint.save(tmp_path, 1, Before(), {}, ("last",))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"convs\.1\.difference is in the checkpoint") as error:
        checkpoint.load(folder, learner())
    assert str(folder) in str(error.value)


def test_a_run_without_feedback_weights_is_read_with_them(tmp_path: Path) -> None:
    """Evaluation and export of a run of before."""
    from asap import stored

    before = Before()
    checkpoint.save(tmp_path, 1, before, {}, ("last",))  # type: ignore[arg-type]
    options = {
        "dataset": "digits",
        "model": "convnet",
        "feedback": "asap",
        "wt": False,
        "width": 0.04,
        "fa_feedback": "independent",
        "shortcut_slip": False,
        "conv_bias": True,
        "seed": 1,
        "epochs": 1,
    }
    config = {"paper": "asap", "script": "asap.train", "options": options}
    (tmp_path / "config.json").write_text(json.dumps(config))
    state = stored.read(tmp_path).state
    expected = before.net.state_dict()
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(state[name], tensor)
