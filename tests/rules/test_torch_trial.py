"""A network tried on paper: nothing of it moves, and only what cannot train is refused."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from common.backends import memory, torch_trial  # noqa: E402
from common.errors import ArgumentError, UsageError  # noqa: E402


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 5),
        nn.BatchNorm1d(5),
    )


def epoch(images: int, size: int) -> SimpleNamespace:
    return SimpleNamespace(images=images, batch_size=size)


@pytest.mark.parametrize(("images", "size", "fits"), [
    (12, 4, True), (13, 4, False), (4, 1, False), (1, 8, False), (2, 8, True), (14, 4, True),
])  # fmt: skip
def test_a_batch_of_one_is_refused_and_no_other(images, size, fits) -> None:
    """A last batch of two that is refused; one image that meets batch norm after an epoch."""
    if fits:
        torch_trial.rehearse(net(), epoch(images, size), (3, 8, 8), torch.float32)
        return
    with pytest.raises(ArgumentError, match=rf"^batch_size \(={size}\) makes a batch of one"):
        torch_trial.rehearse(net(), epoch(images, size), (3, 8, 8), torch.float32)


def test_without_batch_norm_one_image_is_enough() -> None:
    """A rule of batch norm's for networks that have none."""
    plain = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    torch_trial.rehearse(plain, epoch(1, 1), (3, 2, 2), torch.float32)


def test_images_that_vanish_are_named_with_their_size() -> None:
    """torch's "Kernel size can't be greater than actual input size", twenty frames down."""
    with pytest.raises(ArgumentError, match=r"^image_size \(=2\): images of 2 x 2 vanish"):
        torch_trial.rehearse(net(), epoch(8, 4), (3, 2, 2), torch.float32)


def test_what_the_meta_device_cannot_do_is_no_fault_of_the_network() -> None:
    """A user's network with `.item()` in it, refused for the size of its images."""

    class Reads(nn.Module):
        def forward(self, x):
            return x * float(x.sum())

    torch_trial.rehearse(nn.Sequential(net(), Reads()), epoch(8, 4), (3, 8, 8), torch.float32)


def test_a_rehearsal_changes_nothing() -> None:
    """Running statistics moved, a generator drawn from, a network left in training."""
    one = net().eval()
    before = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    drawn = torch.get_rng_state()
    torch_trial.rehearse(one, epoch(8, 4), (3, 8, 8), torch.float32)
    torch_trial.affordable(net)
    assert torch.equal(torch.get_rng_state(), drawn) and not one.training
    assert all(torch.equal(before[name], tensor) for name, tensor in one.state_dict().items())
    assert not any(module._forward_hooks for module in one.modules())
    assert all(tensor.device.type == "cpu" for tensor in one.state_dict().values())


def test_weights_and_batches_are_held_against_memory(monkeypatch) -> None:
    """Bytes counted for one image, or for none of the copies that training keeps."""
    weights = 4 * sum(t.numel() for t in [*net().parameters(), *net().buffers()])
    monkeypatch.setattr(memory, "total", lambda: 3 * weights + 100)
    torch_trial.affordable(net)
    monkeypatch.setattr(memory, "total", lambda: 2 * weights)
    with pytest.raises(UsageError, match="weights, gradients and momenta would need"):
        torch_trial.affordable(net)
    # conv, norm, relu, dropout of 6 x 6 x 4, pool 3 x 3 x 4, mean 4, flat 4, linear 5, norm 5
    image = 4 * (4 * 144 + 36 + 4 + 4 + 5 + 5)
    for room, fits in ((8 * image, True), (8 * image - 1, False)):
        monkeypatch.setattr(memory, "total", lambda room=room: room)
        try:
            torch_trial.rehearse(net(), epoch(20, 8), (3, 8, 8), torch.float32)
        except UsageError as error:
            assert not fits and "a batch of 8 images would need" in str(error)
        else:
            assert fits
