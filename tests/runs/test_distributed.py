"""Several processes that train one network: what they average, add up and see of the data."""

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torchrun is PyTorch's")
from common.backends.torch_distributed import World  # noqa: E402
from common.errors import ArgumentError  # noqa: E402
from tests.helpers.processes import gloo, of_two_processes  # noqa: E402


def _member(rank, port, results):
    os.environ |= gloo(rank, port)
    from common.backends.torch_distributed import join
    from common.data.datasets import load
    from common.data.torch_batches import TorchBatches

    torch.set_num_threads(1)
    world, device = join(torch.device("cpu"))
    tensors = [torch.full((2, 3), float(rank + 1)), torch.arange(4.0, dtype=torch.float64) * rank]
    world.average_(tensors)
    batches = TorchBatches(
        load("digits").train, 8, shuffle=True, seed=3, part=(world.rank, world.size), device=device
    )
    seen = np.concatenate([labels.numpy() for _, labels in batches.epoch(1)])
    total = world.gather([rank + 1.0, 10.0])
    world.close()
    results.put((rank, ([t.tolist() for t in tensors], total, seen, world.main)))


def test_two_processes_average_updates_and_share_the_batches():
    """Updates that are summed for averaged train at twice the rate; halves that overlap train on
    half the data."""
    answers = of_two_processes(_member, seconds=120)
    for rank, (tensors, total, _, main) in answers.items():
        assert tensors == [[[1.5] * 3] * 2, [0.0, 0.5, 1.0, 1.5]]
        assert total == [[1.0, 10.0], [2.0, 10.0]]
        assert main == (rank == 0)
    from common.data.batches import draw_plan
    from common.data.datasets import load

    train = load("digits").train
    order = draw_plan(len(train), 3, 1).order
    whole = train.labels[order][: len(train) // 16 * 16].reshape(-1, 2, 8)
    for rank, (_, _, seen, _) in answers.items():
        assert (seen == whole[:, rank].ravel()).all()


def test_one_process_alone_changes_nothing():
    """A plain run must not need torchrun."""
    from common.backends.torch_distributed import join

    world, device = join(torch.device("cpu"))
    tensor = torch.ones(2)
    world.average_([tensor])
    assert world.main and world.gather([1.5]) == [[1.5]] and tensor.tolist() == [1, 1]


def test_a_step_is_shared_out_whole():
    """An image that no process sees."""
    assert World(1, 4).share(12) == 3
    with pytest.raises(ArgumentError, match=r"batch_size \(=13\) must be a multiple of the 4 proc"):
        World(1, 4).share(13)
