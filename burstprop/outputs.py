"""The files that the original's results directory holds, beside those of a run (burstprop, 7).

params.txt, copies of the sources that trained, initial_model.pth, model.pth. The last two are plain
state dicts here: names and tensors, which torch.load reads with weights_only=True.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from torch import nn

from common.backends.torch_files import write_pth
from common.files.writing import write_bytes, write_text

FOLDER = Path(__file__).parent


def write_params(directory: Path, values: Mapping[str, Any]) -> None:
    """params.txt: when it began, then a hyperparameter a line."""
    lines = [f"Timestamp: {datetime.now():%Y-%m-%d %H:%M:%S}"]
    lines += [f"{name}: {value}" for name, value in values.items()]
    write_text(directory / "params.txt", "\n".join(lines) + "\n")


def copy_sources(directory: Path, *names: str) -> None:
    """Copies of files of this package."""
    for name in names:
        write_bytes(directory / name, (FOLDER / name).read_bytes())


def save_network(net: nn.Module, path: Path) -> None:
    """The state dict, contiguous and on the CPU, whole or not at all."""
    write_pth(path, {n: t.detach().cpu().contiguous() for n, t in net.state_dict().items()})
