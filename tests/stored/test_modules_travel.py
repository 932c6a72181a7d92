"""Every module of ASAP, Burstprop and S3Net can be pickled, copied, saved and loaded again."""

import copy
import io
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="modules are PyTorch's")
from torch import nn  # noqa: E402


def _asap(model: str, mode: str, **options: Any) -> Any:
    from asap.networks import make_network

    return make_network(model, mode, width=0.04, size=8, **options), torch.randn(2, 3, 8, 8)


def _converted(feedback: str, times: int = 1) -> Any:
    from asap import convert

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    for _ in range(times):
        convert(model, feedback)
    return model, torch.randn(2, 3, 5, 5)


def _receiver() -> Any:
    from asap import DirectFeedback

    return DirectFeedback(3, (4,)), torch.randn(2, 4)


def _burstprop(feedback: str | None, recurrent: str | None) -> Any:
    from burstprop.networks import stack

    return stack([(1, 2, 3, 2)], [32, 6, 4], feedback=feedback, recurrent=recurrent), torch.randn(
        2, 1, 9, 9
    )


def _imagenet(feedback: str | None) -> Any:
    from burstprop.imagenet.networks import rectified

    return rectified([(1, 2, 3, 2)], [32, 6, 4], feedback=feedback), torch.randn(2, 1, 9, 9)


def _s3(wiring: str) -> Any:
    from s3net.networks import S3Net

    return S3Net(4, (2, 2), 4, classes=3, wiring=wiring, dropout=0.1), torch.randn(2, 3, 32, 32)


def _cifar(wiring: str) -> Any:
    from s3net.cifar100.s3model import CifarS3

    return CifarS3(wiring=wiring), torch.randn(2, 3, 32, 32)


def _comparison_model(name: str) -> Any:
    from s3net.tinyimagenet.networks import make_network

    return make_network(name, 4), torch.randn(2, 3, 32, 32)


MADE: dict[str, Callable[[], Any]] = {
    **{f"asap convnet {m}": partial(_asap, "convnet", m) for m in ("bp", "fa", "dfa", "asap")},
    **{f"asap resnet {m}": partial(_asap, "resnet18", m) for m in ("dfa", "kp", "asap_k4")},
    "asap transport": lambda: _asap("resnet18", "asap", wt=True),
    **{
        f"converted {f}": partial(_converted, f)
        for f in ("fixed", "kp", "uniform", "batchwise", "frozen")
    },
    "converted twice": lambda: _converted("kp", 2),
    "receiver": _receiver,
    **{
        f"burstprop {f} {r}": partial(_burstprop, f, r)
        for f in ("learned", "fixed", None)
        for r in ("learned", "fixed", None)
    },
    **{f"burstprop ImageNet {f}": partial(_imagenet, f) for f in ("learned", "fixed", None)},
    **{f"s3net {w}": partial(_s3, w) for w in ("sparse", "dense", "residual", "plain")},
    **{f"s3net CIFAR {w}": partial(_cifar, w) for w in ("sparse", "dense", "residual")},
    **{
        f"s3net {n}": partial(_comparison_model, n)
        for n in (
            "ghostnet",
            "se_resnet50",
            "oct_resnet50",
            "lambda_resnet50",
            "scalenet50",
            "randwire_ws",
        )
    },
}


def saved(value: Any, **how: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, **how)


@pytest.mark.parametrize("name", MADE)
def test_a_module_travels(name: str) -> None:
    """Lambdas and local classes in a module; a state that is more than tensors."""
    torch.manual_seed(0)
    module, x = MADE[name]()
    module.eval()
    state = module.state_dict()
    copies = {
        "pickle": pickle.loads(pickle.dumps(module)),
        "deepcopy": copy.deepcopy(module),
        "torch.save": saved(module, weights_only=False),
    }
    fresh, _ = MADE[name]()
    fresh.load_state_dict(saved(state, weights_only=True), strict=True)
    copies["state"] = fresh.eval()
    with torch.no_grad():
        wanted = module(x)
        for way, restored in copies.items():
            assert type(restored) is type(module)
            tensors = restored.state_dict()
            assert tensors.keys() == state.keys(), way
            assert all(torch.equal(t, state[n]) for n, t in tensors.items()), way
            names = {n: p.requires_grad for n, p in restored.named_parameters()}
            assert names == {n: p.requires_grad for n, p in module.named_parameters()}, way
            mine = restored(x)
            for a, b in zip(mine, wanted, strict=True):
                assert (a is None and b is None) or torch.equal(a, b), way
    storages = {t.untyped_storage().data_ptr() for t in state.values()}
    assert not storages & {
        t.untyped_storage().data_ptr() for t in copies["deepcopy"].state_dict().values()
    }


@pytest.mark.parametrize("name", [n for n in MADE if n.startswith(("converted", "asap"))])
def test_a_copy_trains_like_its_original(name: str) -> None:
    """B of a copy that is tied to the original's, or learns where it should not."""
    torch.manual_seed(0)
    module, x = MADE[name]()
    restored = pickle.loads(pickle.dumps(module))
    for each in (module, restored):
        optimiser = torch.optim.SGD(each.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
        for step in range(2):
            torch.manual_seed(step)  # fresh magnitudes of sign symmetry
            optimiser.zero_grad()
            each(x).square().sum().backward()
            optimiser.step()
    for key, tensor in module.state_dict().items():
        assert torch.equal(tensor, restored.state_dict()[key]), key


def test_the_update_and_its_network_travel_together() -> None:
    """A copy of both that goes on to move the original."""
    from burstprop.update import BurstUpdate

    torch.manual_seed(0)
    net, x = _burstprop("learned", "learned")
    update = BurstUpdate(net, [0.1] * 3, momentum=0.9, weight_decay=0.01, recurrent_lr=0.1)
    target = torch.eye(4)[[0, 1]]
    update.step(net.two_phase_pass(x, target).layers)
    for way in (copy.deepcopy, lambda u: pickle.loads(pickle.dumps(u))):
        restored = way(update)
        assert restored.net is not net and restored.net.layers[0] is restored._layers[0]
        before = {n: t.clone() for n, t in net.state_dict().items()}
        restored.step(restored.net.two_phase_pass(x, target).layers)
        assert all(torch.equal(t, before[n]) for n, t in net.state_dict().items())
        other = copy.deepcopy(update)
        other.step(other.net.two_phase_pass(x, target).layers)
        mine = restored.net.state_dict()
        for n, t in other.net.state_dict().items():
            assert torch.equal(t, mine[n]), n
