"""checkpoint.pth.tar of the ImageNet programs: what torch writes is read back, all else refused."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the files are torch's")
from common.backends import torch_pth_tar  # noqa: E402
from common.backends.torch_files import read_pth, write_pth  # noqa: E402
from common.backends.torch_optim import materialise  # noqa: E402
from common.errors import UserError  # noqa: E402

KINDS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    "plain": lambda p: torch.optim.SGD(p, 0.1),
    "adam": lambda p: torch.optim.Adam(p, 0.1),
}


def trained(kind: str, steps: int = 3) -> tuple[Any, Any]:
    """A small network after some steps, and its optimiser."""
    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 2), torch.nn.Flatten(), torch.nn.Linear(8, 3))
    optimiser = KINDS[kind](net.parameters())
    materialise(optimiser)
    for _ in range(steps):
        optimiser.zero_grad()
        net(torch.randn(4, 3, 3, 3)).square().sum().backward()
        optimiser.step()
    return net, optimiser


def entries(optimiser: Any) -> list[dict]:
    states = [optimiser.state[p] for g in optimiser.param_groups for p in g["params"]]
    return [{n: t.tolist() for n, t in each.items() if t is not None} for each in states]


@pytest.mark.parametrize("kind", KINDS)
def test_torch_reads_what_is_written_and_it_is_read_what_torch_writes(kind, tmp_path: Path) -> None:
    """A momentum of another parameter, a file that needs trust, a best one that is forgotten."""
    net, optimiser = trained(kind)
    best = {"best_acc1": 12.5, "best_acc5": 50.0}
    torch_pth_tar.save(tmp_path, net, optimiser, 7, best, "best.tar", arch="a")
    saved = torch.load(tmp_path / "checkpoint.pth.tar", weights_only=True)
    other, fresh = trained(kind, 0)
    other.load_state_dict(saved["state_dict"])
    fresh.load_state_dict(saved["optimizer"])
    assert entries(fresh) == entries(optimiser)
    assert {n: saved[n] for n in ("epoch", "arch", *best)} == {"epoch": 7, "arch": "a", **best}
    assert (tmp_path / "best.tar").read_bytes() and not (tmp_path / "best.tar.tmp").exists()

    document = read_pth(tmp_path / "best.tar")
    parallel = {f"module.{n}": t for n, t in document["state_dict"].items()}
    torch.save(
        document | {"state_dict": parallel, "best_acc1": torch.tensor(99.0)}, tmp_path / "theirs"
    )
    held = torch_pth_tar.read(tmp_path / "theirs", ("best_acc1", "best_acc5"))
    assert (held.epoch, held.best) == (7, (99.0, 50.0))
    for name, tensor in net.state_dict().items():
        assert torch.equal(held.weights[name], tensor)
    mine, empty = trained(kind, 0)
    named = torch_pth_tar.by_number(mine, held.optimizer, tmp_path)
    torch_pth_tar.load_momenta(mine, empty, named, tmp_path)
    assert entries(empty) == entries(optimiser)


def test_an_optimiser_that_has_not_stepped_has_zeros() -> None:
    """Momenta of a former life that stay where the file has none."""
    net, optimiser = trained("sgd")
    cases: tuple[dict[str, Any], ...] = (
        {},
        {"0.weight": None, "0.bias": {}},
        {"2.bias": {"momentum_buffer": None}},
    )
    for named in cases:
        torch_pth_tar.load_momenta(net, optimiser, named, Path("f"))
        assert all(
            not any(torch.tensor(t).flatten()) for e in entries(optimiser) for t in e.values()
        )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"epoch": None}, "epoch and best_acc1 must be numbers"),
        ({"epoch": -1}, r"epoch \(=-1\) must be >= 0"),
        ({"best_acc1": 101}, r"best_acc1 \(=101\) must be percentages"),
        ({"best_acc1": float("nan")}, r"best_acc1 \(=nan\) must be percentages"),
        ({"best_acc1": torch.zeros(2)}, "must be numbers"),
        ({"optimizer": [1]}, "its optimizer is no state dict"),
        ({"state_dict": [1]}, "holds no state dict"),
    ],
)
def test_what_cannot_be_is_one_line(change, message, tmp_path: Path) -> None:
    """`int(None)`; a best accuracy that no epoch ever beats."""
    net, optimiser = trained("sgd")
    torch_pth_tar.save(tmp_path, net, optimiser, 1, {"best_acc1": 0.0})
    file = tmp_path / "checkpoint.pth.tar"
    write_pth(file, read_pth(file) | change)
    with pytest.raises(UserError, match=message) as caught:
        torch_pth_tar.read(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[1], {"epoch": 1}])
def test_what_is_lacking_is_named(value, tmp_path: Path) -> None:
    """`TypeError: list indices must be integers`."""
    write_pth(tmp_path / "f", value)
    with pytest.raises(UserError, match="f: not a checkpoint of this program: it has no '"):
        torch_pth_tar.read(tmp_path / "f")


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"exp_avg": torch.zeros(2)}, "its optimiser has no momentum_buffer of 0.bias; look"),
        ({"momentum_buffer": "x"}, "momentum_buffer of 0.bias is no tensor"),
        ({"momentum_buffer": torch.zeros(3)}, r"of 0.bias has shape \(3,\), ours \(2,\)"),
        ([1], "entry of 0.bias is none"),
    ],
)
def test_momenta_of_something_else_are_named(entry, message) -> None:
    """Another optimiser's entry that is passed over in silence."""
    net, optimiser = trained("sgd")
    with pytest.raises(UserError, match=message):
        torch_pth_tar.load_momenta(net, optimiser, {"0.bias": entry}, Path("f"), "; look")
    with pytest.raises(UserError, match="no state dict"):
        torch_pth_tar.by_number(net, {"state": 5}, Path("f"))
