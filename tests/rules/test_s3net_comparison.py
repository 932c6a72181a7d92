"""Tiny ImageNet's comparison models beyond what their traces hold (s3net, tinyimagenet 4)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the networks are torch's")
pytest.importorskip("torchvision", reason="two of the networks are torchvision's")
from common.errors import UsageError, UserError  # noqa: E402
from s3net.tinyimagenet import networks, recipes  # noqa: E402
from s3net.tinyimagenet.comparison import graphs  # noqa: E402
from s3net.tinyimagenet.comparison.lambda_net import LambdaConv  # noqa: E402
from s3net.tinyimagenet.comparison.octave import OctaveConv  # noqa: E402
from s3net.tinyimagenet.comparison.rand_wire import Node, Stage  # noqa: E402
from s3net.tinyimagenet.comparison.scale_net import STRUCTURE  # noqa: E402

COUNTS = {
    "s3net_new": (10_600_800, 9_680_000),
    "s3net_k96": (5_021_608, None),
    "mobilenet_v2": (3_504_872, 2_480_072),
    "efficientnet_b0": (5_288_548, 4_263_748),
    "ghostnet": (5_183_016, 5_183_016 - 800 * 1281),
    "se_resnet50": (28_071_976, 28_071_976 - 800 * 2049),
    "oct_resnet50": (25_557_032, 25_557_032 - 800 * 2049),
    "lambda_resnet50": (14_998_056, 14_998_056 - 800 * 2049),
    "scalenet50": (31_483_618, 31_483_618 - 800 * 2049),
    "randwire_ws": (31_619_209, 30_594_409),
}
COMPARISON_MODELS = (*recipes.TORCHVISION, *recipes.OURS)


def count(net: Any) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_those_of_the_table(name: str) -> None:
    """A network that bears a name of table IV and is another; a head of the wrong width."""
    for classes, expected in zip((1000, 200), COUNTS[name], strict=True):
        with torch.device("meta"):
            assert expected is None or count(networks.make_network(name, classes)) == expected


@pytest.mark.parametrize("name", COMPARISON_MODELS)
def test_a_comparison_model_learns_from_small_images_in_channels_last(name: str) -> None:
    """A network that only runs at 224 x 224, or that a learner cannot hold, keep or put back."""
    from s3net.learner import Learner

    torch.manual_seed(1)
    learner = Learner(networks.make_network(name, 10), 0.001, size=32)
    images, labels = torch.randn(4, 3, 16, 16), torch.tensor([1, 2, 3, 4])
    before = {n: p.clone() for n, p in learner.net.named_parameters()}
    loss = float(learner.train_step(images, labels)[0])
    assert np.isfinite(loss) and 1 < loss < 60
    moved = sum(not torch.equal(p, before[n]) for n, p in learner.net.named_parameters())
    assert moved > 0.95 * len(before)
    learner.load_state(
        {n: v.clone() if torch.is_tensor(v) else v for n, v in learner.state().items()}
    )


def test_convolutions_start_as_the_originals_do() -> None:
    """An initialisation that is torch's own where the original draws N(0, 2 / fan out)."""
    torch.manual_seed(1)
    for name in ("ghostnet", "oct_resnet50", "scalenet50", "se_resnet50"):
        net = networks.make_network(name, 10)
        last = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)][-1]
        out, _, high, wide = last.weight.shape
        spread = float(last.weight.detach().std()) / np.sqrt(2 / (out * high * wide))
        assert spread == pytest.approx(1, abs=0.02), name


def test_an_octave_convolution_is_four_convolutions() -> None:
    """A path between the two resolutions that is left out, or goes the wrong way."""
    torch.manual_seed(1)
    for stride in (1, 2):
        conv: Any = OctaveConv(8, 12, 3, stride, True, True)
        high, low = torch.randn(2, 4, 16, 16), torch.randn(2, 4, 8, 8)
        half = lambda x: x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).mean((3, 5))  # noqa: E731
        double = lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)  # noqa: E731
        at = half(high) if stride == 2 else high
        from_low = conv.conv_l2h(low)
        y_high = conv.conv_h2h(at) + (from_low if stride == 2 else double(from_low))
        y_low = conv.conv_h2l(half(at)) + conv.conv_l2l(half(low) if stride == 2 else low)
        outputs = conv((high, low))
        torch.testing.assert_close(outputs[0], y_high)
        torch.testing.assert_close(outputs[1], y_low)


@pytest.mark.parametrize("m", [5, 17])
def test_a_lambda_layer_is_its_definition_position_by_position(m: int) -> None:
    """A transposed content lambda, an embedding that looks the wrong way or is cut too short."""
    torch.manual_seed(1)
    layer = LambdaConv(6, 8, heads=2, k=3, m=m).double().eval()
    x = torch.randn(2, 6, 4, 7, dtype=torch.float64)
    with torch.no_grad():
        queries = layer.queries(x).reshape(2, 2, 3, 4, 7)
        keys = layer.keys(x).reshape(2, 3, 28).softmax(-1)
        values = layer.values(x)
        expected = torch.zeros(2, 2, 4, 4, 7, dtype=torch.float64)
        for n, i, j in np.ndindex(2, 4, 7):
            matrix = keys[n] @ values[n].reshape(4, 28).T
            for di, dj in np.ndindex(m, m):
                a, b = i + di - m // 2, j + dj - m // 2
                if 0 <= a < 4 and 0 <= b < 7:
                    matrix = matrix + torch.outer(
                        layer.embedding[:, 0, 0, di, dj], values[n, :, a, b]
                    )
            expected[n, :, :, i, j] = queries[n, :, :, i, j] @ matrix
        torch.testing.assert_close(layer(x), expected.reshape(2, 8, 4, 7))


def test_scales_of_a_scalenet_are_those_of_its_list() -> None:
    """A branch that looks at another scale than its channels were chosen for."""
    net = networks.make_network("scalenet50", 10)
    blocks = [b for i in range(4) for b in getattr(net, f"layer{i + 1}")]
    assert len(blocks) == len(STRUCTURE) == 16
    seen: dict[str, tuple[int, ...]] = {}
    for scale, conv in blocks[0].conv2.items():
        conv.register_forward_hook(
            lambda m, x, y, scale=scale: seen.__setitem__(scale, tuple(y.shape[1:]))
        )
    net.eval()(torch.randn(1, 3, 224, 224))
    assert seen == {"0": (62, 56, 56), "1": (9, 28, 28), "2": (5, 14, 14), "3": (12, 8, 8)}
    for block, (*counts, _) in zip(blocks, STRUCTURE, strict=True):
        assert [int(i) for i in block.conv2] == [i for i, c in enumerate(counts) if c]
        assert block.conv3.in_channels == sum(counts)


def test_a_random_stage_is_its_graph() -> None:
    """Edges that run the other way, a mean over other nodes, inputs that do not halve."""
    torch.manual_seed(1)
    graph = graphs.Graph(5, [(0, 2), (1, 2), (0, 3), (2, 4)])
    stage: Any = Stage(graph, 3, 6).eval()
    x = torch.randn(2, 3, 8, 8)
    a, b = (stage.nodeop[i].conv(x) for i in (0, 1))
    weights = torch.sigmoid(torch.tensor([1.0, 1.0]))
    assert weights[0] == pytest.approx(0.731, abs=1e-3)
    c = stage.nodeop[2].conv(weights[0] * a + weights[1] * b)
    d, e = stage.nodeop[3].conv(a), stage.nodeop[4].conv(c)
    torch.testing.assert_close(stage(x), (d + e) / 2)
    assert stage(x).shape == (2, 6, 4, 4)
    assert not hasattr(Node(1, 3, 6, 1), "mean_weight")


def test_graphs_are_kept_as_they_were_drawn(tmp_path: Path) -> None:
    """Another networkx that draws another network into a resumed run."""
    kept = graphs.wiring(graphs.Settings(channels=20, nodes=14, seed=3))
    (tmp_path / "g.json").write_text(kept.text())
    assert graphs.read(tmp_path / "g.json") == kept
    assert graphs.wiring(graphs.Settings()) == graphs.read(graphs.STORED)
    assert graphs.read_config(graphs.CONFIG) == graphs.Settings()
    again = graphs.wiring(graphs.Settings(channels=20))
    assert again.edges == graphs.read(graphs.STORED).edges and again.channels == 20
    assert graphs.draw(32, 4, 0.75, 2) != again.edges[32]


def test_a_config_gives_the_network_and_nothing_else(tmp_path: Path) -> None:
    """Keys of a training that this program does not have; sections, as the original's yaml has."""
    file = tmp_path / "c.yaml"
    file.write_text("TRAIN: {channels: 24, K: 2, base_lr: 0.1}\nTEST: {seed: 5}\nnodes: 20\n")
    config = graphs.read_config(file)
    assert config == graphs.Settings(channels=24, K=2, seed=5, nodes=20)
    for text, message in {
        "channels: one": r"c.yaml: channels \(=one\) must be an integer >= 2",
        "K: 20": r"c.yaml: K \(=20\) must be < 16",
        "P: 1.5": r"c.yaml: P \(=1.5\) must be between 0 and 1",
        "net_type: small": r"c.yaml: net_type \(=small\) must be regular",
        "[1, 2]": "c.yaml: holds no keys",
        "a: [": "c.yaml: is no YAML",
        "a: !!python/object/apply:os.getcwd []": "c.yaml: is no YAML",
    }.items():
        file.write_text(text)
        with pytest.raises(UserError, match=message):
            graphs.read_config(file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"edges": 3}',
        '{"edges": {"16": [[1, 0]], "32": [[0, 1]]}}',
        json.dumps({"edges": {"16": [[0, 1]], "32": [[0, 32]]}}),
    ],
)
def test_a_file_without_graphs_is_named(tmp_path: Path, text: str) -> None:
    """A traceback from a file that was cut short."""
    (tmp_path / "graphs.json").write_text(text)
    with pytest.raises(UserError, match="graphs.json: holds no graph"):
        graphs.read(tmp_path / "graphs.json")


def test_what_a_network_does_not_have_is_refused() -> None:
    """An option that is read and not used."""
    with pytest.raises(UsageError, match=r"dropout \(=0.5\) is for S3 nets"):
        networks.make_network("ghostnet", 10, dropout=0.5)
    with pytest.raises(UsageError, match=r"wiring \(=dense\) is for S3 nets"):
        networks.make_network("mobilenet_v2", 10, wiring="dense")
    with pytest.raises(UsageError, match=r"model \(=no_such\)"):
        networks.make_network("no_such", 10)
