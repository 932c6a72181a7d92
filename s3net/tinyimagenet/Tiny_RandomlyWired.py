"""RandWire-WS on Tiny ImageNet: `python -m s3net.tinyimagenet.Tiny_RandomlyWired`.

Its graphs are drawn once and kept in the run, `graphs.json`; --resume RUN reads them again, as the
original's --resume read its own. What is drawn for a config.yaml depends on networkx's version.
"""

from common.cli import Options, command, option
from common.cli.params import existing_file, path
from s3net.tinyimagenet.options import trainer_options

UNUSED = "Unused, as in the original."


@command(paper="s3net", name="Tiny_RandomlyWired")
@trainer_options("randwire_ws")
@option(
    "--config",
    type=existing_file,
    default=None,
    show_default="config_regular_c109_n32.yaml",
    help="YAML with the network: channels, nodes, graph_model, K, P, seed; other keys are unused.",
)
@option(
    "--model_dir",
    "model_dir",
    type=path,
    default=None,
    numbers=False,
    show_default="the run",
    help="Folder that gets a copy of graphs.json.",
)
@option("--local_rank", "local_rank", type=int, default=None, numbers=False, help=UNUSED)
@option("--port", type=int, default=29500, numbers=False, help=UNUSED)
@option("--world-size", type=int, default=1, numbers=False, help=UNUSED)
@option("--rank", type=int, default=0, numbers=False, help=UNUSED)
@option("-e", "--evaluate", is_flag=True, default=False, numbers=False, help=UNUSED)
def main(options: Options) -> None:
    """Train RandWire-WS on Tiny ImageNet (Fan et al., table IV)."""
    from s3net.tinyimagenet.program import train

    train(options)


if __name__ == "__main__":
    main()
