"""The random graphs of RandWire: drawn once, kept as lists of edges in JSON.

A drawing depends on the version of networkx; a list of edges does not. Those of the study's
config.yaml are stored here, a run keeps its own (`graphs.json`), and a resumed run reads those.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.errors import ArgumentError, UsageError, UserError
from common.files.paths import home

STORED = Path(__file__).with_name("randwire_regular_c109_n32.json")
CONFIG = Path(__file__).parents[1] / "config_regular_c109_n32.yaml"
FILE = "graphs.json"
TRIES = 200  # drawings until one is connected


@dataclass(frozen=True)
class Graph:
    """Nodes 0 ... count - 1 and edges from a smaller to a larger index."""

    count: int
    edges: list[tuple[int, int]]

    @property
    def sources(self) -> list[list[int]]:
        """For each node, those that feed it, in order; none for an input node."""
        feeding: list[list[int]] = [[] for _ in range(self.count)]
        for a, b in sorted(self.edges):
            feeding[b].append(a)
        return feeding

    @property
    def outputs(self) -> list[int]:
        """Nodes that feed no other."""
        fed = {a for a, _ in self.edges}
        return [i for i in range(self.count) if i not in fed]


@dataclass(frozen=True)
class Settings:
    """The keys of config.yaml that make the network.

    channels, nodes   of the first stage's output; of every stage's graph but the first, which
                      has half
    graph_model, K, P, seed   Watts and Strogatz's: K neighbours, rewired with probability P; one
                      seed for all stages
    UsageError for what no network can be made of.
    """

    net_type: str = "regular"
    channels: int = 109
    nodes: int = 32
    graph_model: str = "WS"
    K: int = 4
    P: float = 0.75
    seed: int = 1

    def __post_init__(self) -> None:
        for name, allowed in (("net_type", "regular"), ("graph_model", "WS")):
            if getattr(self, name) != allowed:
                raise ArgumentError(name, f"(={getattr(self, name)}) must be {allowed}")
        for name, least in (("channels", 2), ("nodes", 6), ("K", 2), ("seed", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ArgumentError(name, f"(={value}) must be an integer >= {least}")
        if self.K >= self.nodes // 2:
            raise ArgumentError(
                "K", f"(={self.K}) must be < {self.nodes // 2}, the first graph's nodes"
            )
        if isinstance(self.P, bool) or not isinstance(self.P, int | float) or not 0 <= self.P <= 1:
            raise ArgumentError("P", f"(={self.P}) must be between 0 and 1")


@dataclass(frozen=True)
class Wiring:
    """Settings, and the edges of a graph of each size that occurs."""

    settings: Settings
    edges: Mapping[int, list[tuple[int, int]]]

    @property
    def channels(self) -> int:
        return self.settings.channels

    @property
    def stages(self) -> tuple[int, ...]:
        """Nodes of each stage; each has twice the channels of the one before it."""
        return (self.settings.nodes // 2, *(self.settings.nodes,) * 3)

    def graph(self, nodes: int) -> Graph:
        """That of so many nodes."""
        return Graph(nodes, list(self.edges[nodes]))

    def text(self) -> str:
        """As JSON."""
        edges = {str(n): [list(edge) for edge in drawn] for n, drawn in self.edges.items()}
        return json.dumps(asdict(self.settings) | {"edges": edges}) + "\n"


def read(path: Path) -> Wiring:
    """What `Wiring.text` gave. UserError where a file is none or holds no such graphs."""
    try:
        held = json.loads(home(path).read_text(encoding="utf-8"))
        edges = {int(n): [(int(a), int(b)) for a, b in e] for n, e in held.pop("edges").items()}
        wiring = Wiring(Settings(**held), edges)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, UsageError) as error:
        raise UserError(f"{path}: holds no graphs of RandWire ({error})") from None
    for nodes in set(wiring.stages):
        if not all(0 <= a < b < nodes for a, b in edges.get(nodes, [(0, 0)])):
            raise UserError(f"{path}: holds no graph of {nodes} nodes, edges from small to large")
    return wiring


def read_config(path: Path) -> Settings:
    """The network's keys of a config.yaml; those of its training are not used, as in the original.

    UserError where the file cannot be read, UsageError for a value that cannot be.
    """
    import yaml

    try:
        sections = yaml.safe_load(home(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is no YAML ({' '.join(str(error).split())})") from None
    values = _flat(sections) if isinstance(sections, dict) else None
    if values is None:
        raise UserError(f"{path}: holds no keys")
    known = {name: values[name] for name in Settings.__dataclass_fields__ if name in values}
    try:
        return Settings(**known)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _flat(sections: dict[str, Any]) -> dict[str, Any]:
    """Keys of TRAIN and TEST become keys of the whole, as the original has it."""
    inner = [v for v in sections.values() if isinstance(v, dict)]
    return {k: v for section in (sections, *inner) for k, v in section.items()}


def wiring(settings: Settings) -> Wiring:
    """Stored edges where they are of these settings, else drawn ones."""
    kept = read(STORED)
    if kept.settings.seed == settings.seed and kept.settings.K == settings.K:
        if kept.settings.P == settings.P and kept.settings.nodes == settings.nodes:
            return Wiring(settings, kept.edges)
    sizes = (settings.nodes // 2, settings.nodes)
    return Wiring(settings, {n: draw(n, settings.K, settings.P, settings.seed) for n in sizes})


def draw(nodes: int, k: int, p: float, seed: int) -> list[tuple[int, int]]:
    """Edges, from small to large, of a connected graph of Watts and Strogatz.

    UsageError where no connected one turns up.
    """
    import networkx

    try:
        graph = networkx.connected_watts_strogatz_graph(nodes, k, p, tries=TRIES, seed=seed)
    except networkx.NetworkXError as error:
        raise UsageError(f"K (={k}), P (={p}), nodes (={nodes}): {error}") from None
    return sorted((min(edge), max(edge)) for edge in graph.edges())
