"""The stream of the original PyTorch programs against torch's own loaders and layers."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from lra_e.torch_seedpath import SeedPath  # noqa: E402

SIZES = [9, 7, 6, 5]
N, N_VAL, BATCH, SEED = 130, 17, 10, 1234


def original_program(init: str):
    """Split, weights and three epochs of a program that draws from torch's global generator."""
    from torch.utils.data import DataLoader, Subset, random_split

    state = torch.get_rng_state()
    try:
        torch.manual_seed(SEED)
        everything: Any = range(N)
        parts: list[Subset[int]] = random_split(everything, [N - N_VAL, N_VAL])
        train, val = parts
        weights = []
        for below, above in zip(SIZES, SIZES[1:], strict=False):
            pairs = [(below, above)] if below == SIZES[0] else [(below, above), (above, below)]
            for fan_in, fan_out in pairs:
                layer = torch.nn.Linear(fan_in, fan_out, bias=False)
                if init == "normal":
                    torch.nn.init.normal_(layer.weight, 0.0, 0.1)
                weights.append(layer.weight.detach().T.numpy().copy())
        train_loader = DataLoader(train, batch_size=BATCH, shuffle=True)
        val_loader = DataLoader(val, batch_size=BATCH, shuffle=False)
        epochs = []
        for _ in range(3):
            epochs.append(np.concatenate([images.numpy() for images in train_loader]))
            held_out = np.concatenate([images.numpy() for images in val_loader])
        return np.array(train.indices), held_out, weights, epochs
    finally:
        torch.set_rng_state(state)


@pytest.mark.parametrize("init", ["normal", "linear"])
def test_split_weights_and_orders_are_those_of_torchs_own_classes(init):
    """Catches one draw too many or too few: from there on no image and no weight would be the
    original's."""
    train, held_out, weights, epochs = original_program(init)
    path = SeedPath(SIZES, init=init, n=N, n_val=N_VAL, seed=SEED)
    assert np.array_equal(path.train_indices, train)
    assert np.array_equal(path.val_indices, held_out)
    ours = [path.W[0], path.W[1], path.E[0], path.W[2], path.E[1]]
    assert all(np.array_equal(a.numpy(), b) for a, b in zip(ours, weights, strict=True))
    for number, images in enumerate(epochs, start=1):
        assert np.array_equal(path.train_indices[path.epoch_order(number)], images)


def test_orders_do_not_depend_on_what_was_asked_before_nor_on_other_draws():
    """Catches a resumed run that sees another order than the uninterrupted one."""
    path = SeedPath(SIZES, n=N, n_val=N_VAL)
    third = path.epoch_order(3)
    torch.rand(5)
    again = SeedPath(SIZES, n=N, n_val=N_VAL)
    again.epoch_order(1)
    assert np.array_equal(again.epoch_order(3), third)
    assert not np.array_equal(again.epoch_order(2), third)
    assert sorted(third) == list(range(N - N_VAL))


def test_the_global_generator_is_left_alone():
    """Catches a module that, merely used, changes everybody else's random numbers."""
    before = torch.get_rng_state()
    SeedPath(SIZES, n=N, n_val=N_VAL).epoch_order(2)
    assert torch.equal(torch.get_rng_state(), before)


def test_wrong_arguments_are_named():
    """Catches a hold-out or initialisation that silently means something else."""
    from common.errors import UsageError

    with pytest.raises(UsageError, match="init"):
        SeedPath(SIZES, init="uniform", n=N, n_val=N_VAL)
    with pytest.raises(UsageError, match="n_val"):
        SeedPath(SIZES, n=10, n_val=10)
    with pytest.raises(ValueError, match="epoch"):
        SeedPath(SIZES, n=N, n_val=N_VAL).epoch_order(0)
