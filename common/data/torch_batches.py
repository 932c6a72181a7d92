"""`common.data.batches` for PyTorch: gather, crop, flip and normalise on the device."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from common.backends import torch_layout
from common.data.batches import Batches, Plan
from common.data.datasets import Split


class TorchBatches(Batches):
    """Device-resident batches; see `Batches` for the arguments.

    dtype is that of the images (normalised in at least float32), device where everything lives.
    "NCHW" comes in channels-last memory, grey images contiguous (`torch_layout.from_nhwc`);
    `torch_layout.laid` gives the other order.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        **options: Any,
    ) -> None:
        self.device, self.dtype = torch.device(device), dtype
        super().__init__(split, batch_size, **options)

    def _place(self) -> dict[str, Any]:
        return {"device": self.device, "dtype": self.dtype}

    def _hold(self, images: np.ndarray, labels: np.ndarray) -> None:
        self._images = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        self._labels = torch.from_numpy(labels).to(self.device)
        work = torch.float64 if self.dtype == torch.float64 else torch.float32
        self._work = work
        # Tiled over an image: broadcasting over three channels alone is slow.
        self._factor, self._shift = (
            torch.tensor(np.tile(c, self.height * self.width), dtype=work, device=self.device)
            for c in self.affine
        )
        self._rows = torch.arange(self.height, device=self.device)
        self._columns = torch.arange(self.width, device=self.device)

    def _upload(self, plan: Plan) -> tuple[torch.Tensor | None, ...]:
        return tuple(
            None if a is None else torch.from_numpy(np.ascontiguousarray(a)).to(self.device)
            for a in plan
        )

    def _chunk(self, rows: Any, low: int, high: int) -> Iterator[tuple[Any, Any]]:
        parts: list[Any] = [None if a is None else a[low:high] for a in rows]
        order, offsets, flips = parts
        images = self._normalise(self._gather(order, offsets, flips))
        labels = self._labels.index_select(0, order)
        return zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True)

    def _gather(
        self, order: torch.Tensor, offsets: torch.Tensor | None, flips: torch.Tensor | None
    ) -> torch.Tensor:
        """uint8 (n, H, W, C)."""
        if not self.augments:
            return self._images.index_select(0, order)
        height, width = self._images.shape[1:3]
        columns = self._columns.expand(len(order), -1)
        if flips is not None:
            columns = torch.where(flips[:, None], self.width - 1 - columns, columns)
        row = self._rows.expand(len(order), -1)
        if offsets is not None:
            row, columns = row + offsets[:, :1], columns + offsets[:, 1:]
        index = ((order[:, None] * height + row) * width)[:, :, None] + columns[:, None, :]
        flat = self._images.view(-1, self.channels).index_select(0, index.view(-1))
        return flat.view(len(order), self.height, self.width, self.channels)

    def _normalise(self, images: torch.Tensor) -> torch.Tensor:
        scaled = images.to(self._work)
        if self.normalises:
            scaled.view(-1, self._factor.numel()).mul_(self._factor).sub_(self._shift)
        else:
            scaled.div_(255)
        scaled = scaled.to(self.dtype)
        if self.layout == "flat":
            return scaled.view(len(scaled), -1)
        return torch_layout.from_nhwc(scaled) if self.layout == "NCHW" else scaled
