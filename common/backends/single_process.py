"""One process alone: what `common.backends.torch_distributed.World` is for several, without a
framework."""

from collections.abc import Sequence


class SingleProcess:
    """The only process."""

    rank, size, main = 0, 1, True

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Its own numbers: all there are."""
        return [list(values)]
