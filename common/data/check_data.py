"""`--check-data`: decode every image before training begins, and say which ones do not."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from common.backends.single_process import SingleProcess
from common.errors import UserError

NAMED = 3
"""How many bad images the error names."""


class Readable(Protocol):
    """Images by index, as a source of `common.data.torch_stream`."""

    def read(self, index: int) -> Any:
        """UserError naming the file where it does not decode."""

    def __len__(self) -> int: ...


def check(sources: Mapping[str, Readable], world: Any = None, quiet: bool = False) -> None:
    """Decode all images of all sources; what they are called is for the progress bar.

    world: processes that share the work (`common.backends.torch_distributed`); each must call this.
    Raises UserError, in every process, with the number of bad images and the first of them.
    """
    world = world or SingleProcess()
    bad: list[str] = []
    for name, source in sources.items():
        mine = _bad(source, range(world.rank, len(source), world.size), name, quiet or world.rank)
        # As many numbers from each process: how many, then the first ones, filled up with -1.
        shown = [len(mine), *mine[:NAMED], *[-1] * (NAMED - len(mine))]
        rows = [[int(value) for value in row] for row in world.gather(shown)]
        first = sorted(index for row in rows for index in row[1:] if index >= 0)[:NAMED]
        bad += [_problem(source, index) for index in first]
        bad += [""] * (sum(row[0] for row in rows) - len(first))
    if bad:
        named = [problem for problem in bad if problem][:NAMED]
        rest = f" and {len(bad) - len(named)} more" if len(bad) > len(named) else ""
        total = sum(len(source) for source in sources.values())
        raise UserError(f"{len(bad):,} of {total:,} images are bad: {'; '.join(named)}{rest}")


def _bad(source: Readable, indices: Sequence[int], name: str, quiet: Any) -> list[int]:
    from tqdm import tqdm

    def is_bad(index: int) -> bool:
        try:
            source.read(index)
        except UserError:
            return True
        return False

    # One by this thread: a source may open its file at the first reading.
    bad = [index for index in indices[:1] if is_bad(index)]
    rest = indices[1:]
    hidden = True if quiet else None
    with ThreadPoolExecutor(8) as pool:  # Pillow releases the interpreter lock while it decodes
        results = tqdm(
            pool.map(is_bad, rest), f"checking {name}", len(rest), leave=False, disable=hidden
        )
        bad += [index for index, wrong in zip(rest, results, strict=True) if wrong]
    return bad


def _problem(source: Readable, index: int) -> str:
    try:
        source.read(index)
    except UserError as error:
        return str(error)
    return f"image {index} was bad when it was read first"
