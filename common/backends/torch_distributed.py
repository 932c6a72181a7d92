"""Several processes, one network: torchrun's start, and all-reduce of hand-made updates.

A rule that computes its own updates has no gradient hooks for DistributedDataParallel: it averages
its descent directions here before they are applied.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import distributed, nn

from common.errors import ArgumentError


class World(NamedTuple):
    """This process among all; one process alone is World(0, 1)."""

    rank: int
    size: int

    @property
    def main(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def share(self, batch_size: int) -> int:
        """How many images of a step are this process's. ArgumentError where they do not divide."""
        if batch_size % self.size:
            raise ArgumentError(
                "batch_size", f"(={batch_size}) must be a multiple of the {self.size} processes"
            )
        return batch_size // self.size

    def average_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Average tensors over the processes, in place, in one transfer a dtype."""
        self._reduce_(tensors, self.size)

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Add tensors up over the processes, in place, in one transfer a dtype."""
        self._reduce_(tensors, 1)

    def _reduce_(self, tensors: Sequence[torch.Tensor], divisor: int) -> None:
        if self.size == 1:
            return
        # In the tensors' order: a set's differs from process to process, and they would deadlock.
        for dtype in dict.fromkeys(t.dtype for t in tensors):
            group = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in group])
            distributed.all_reduce(flat)
            flat.div_(divisor)
            for tensor, part in zip(group, flat.split([t.numel() for t in group]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Every process's numbers, by rank, for every process."""
        if self.size == 1:
            return [list(values)]
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        mine = torch.tensor(values, dtype=torch.float64, device=device)
        rows = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(rows, mine)
        return torch.stack(rows).tolist()

    def broadcast_(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give every process the first one's tensors, in place."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def close(self) -> None:
        """Leave the group, all at once: connections that the first one closes may still be read
        by another, which gloo ends by SIGABRT."""
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()


def join(device: torch.device) -> tuple[World, torch.device]:
    """Join the processes that torchrun started; alone without it.

    On CUDA each process takes the device of its local rank, and NCCL; on the CPU gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World(0, 1), device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return World(distributed.get_rank(), distributed.get_world_size()), device


def in_training(
    net: nn.Module, world: World | None, compile: bool = False, idle: bool = False
) -> Callable[[torch.Tensor], torch.Tensor]:
    """What a learner that uses autograd calls instead of the network: its gradients are averaged
    over the processes; `compile`: by torch.compile; `idle`: some parameters get none."""
    if world is not None and world.size > 1:
        device = next(net.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        # Constants (feedback that is fixed) are buffers, and large; running statistics are shared
        # where they are used, before a test (`share_statistics`).
        net = nn.parallel.DistributedDataParallel(
            net, device_ids=ids, broadcast_buffers=False, find_unused_parameters=idle
        )
    return torch.compile(net) if compile else net
