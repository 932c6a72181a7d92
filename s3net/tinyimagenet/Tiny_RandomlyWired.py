"""RandWire-WS on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_RandomlyWired`.

Its graphs are drawn once and kept in the run, `graphs.json`; --resume RUN reads them again, as the
original's --resume read its own. What is drawn for a config.yaml depends on networkx's version.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.cli import command, ignored_option, option
from common.cli.params import existing_file, path
from s3net.tinyimagenet.options import TrainOptions, options_for

ignored = partial(ignored_option, because="the original ignores it too")


@dataclass(frozen=True, kw_only=True)
class RandomlyWiredOptions(TrainOptions):
    """What Tiny_RandomlyWired takes."""

    config: Path | None = option(
        type=existing_file,
        show_default="config_regular_c109_n32.yaml",
        help="YAML with the network: channels, nodes, graph_model, K, P, seed; other keys are "
        "unused.",
    )
    model_dir: Path | None = option(
        "--model_dir",
        type=path,
        numbers=False,
        show_default="the run",
        help="Folder that gets a copy of graphs.json.",
    )
    local_rank: int | None = ignored("--local_rank", type=int)
    port: int = ignored(type=int, default=29500)
    world_size: int = ignored(type=int, default=1)
    rank: int = ignored(type=int, default=0)
    evaluate: bool = ignored("-e", "--evaluate", is_flag=True, default=False)


@command(
    options_for("randwire_ws", options=RandomlyWiredOptions),
    paper="s3net",
    name="Tiny_RandomlyWired",
)
def main(options: TrainOptions) -> None:
    """Train RandWire-WS on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
