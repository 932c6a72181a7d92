"""The original program's names of our layers, by network and mode (asap, 4).

Its checkpoints are read, and written, under these names.
"""

from collections.abc import Mapping

from torch import Tensor

from asap.networks import SHARING, ConvNet, Network, ResNet
from common.errors import UserError


def original_modules(net: Network) -> dict[str, str]:
    """Our module's name -> the original's."""
    if isinstance(net, ConvNet):
        return _convnet(net)
    assert isinstance(net, ResNet)
    return _resnet(net)


def _convnet(net: ConvNet) -> dict[str, str]:
    found: dict[str, str] = {}
    for i in range(3):
        names = {
            "shares": (
                ("conv0", "layer1.conv", "layer2.conv")[i],
                ("bn0", "layer1.bn", "layer2.bn")[i],
                f"classifier.{3 * i + 1}",
                f"classifier.{3 * i + 2}",
            ),
            "dfa": (f"layer{i + 1}.0", f"layer{i + 1}.1", f"layer{i + 4}.1", f"layer{i + 4}.2"),
            "else": (f"layers.{4 * i}", f"layers.{4 * i + 1}", f"layers.{3 * i + 13}",
                     f"layers.{3 * i + 14}"),
        }["shares" if net.shares else "dfa" if net.mode == "dfa" else "else"]  # fmt: skip
        ours = (f"convs.{i}", f"conv_norms.{i}", f"linears.{i}", f"linear_norms.{i}")
        found |= dict(zip(ours, names, strict=True))
    return found | {f"receivers.{i}": f"feedback{i + 1}" for i in range(len(net.receivers))}


def _resnet(net: ResNet) -> dict[str, str]:
    shares = net.mode in SHARING
    stem = ("conv0", "bn0") if shares else ("conv1", "bn1")
    head = ("classifier.2", "classifier.3") if shares else ("classifier.0", "classifier.1")
    short = ("short_conv", "short_bn") if shares else ("shortcut.0", "shortcut.1")
    ours = ("stem", "stem_norm", "head", "head_norm", "receiver")
    found = dict(zip(ours, (*stem, *head, "feedback1"), strict=True))
    parts = {"conv1": "conv1", "norm1": "bn1", "conv2": "conv2", "norm2": "bn2",
             "short_conv": short[0], "short_norm": short[1],
             "receiver1": "feedback1", "receiver2": "feedback2"}  # fmt: skip
    counts = list(net.stages)
    if shares:  # the block that widens is the last of its stage there
        counts = [counts[0] + 1, *counts[1:-1], counts[-1] - 1]
    places = [(stage, i) for stage, n in enumerate(counts, 1) for i in range(n)]
    for j, (stage, i) in enumerate(places):
        for part, name in parts.items():
            found[f"blocks.{j}.{part}"] = f"layer{stage}.{i}.{name}"
    return found


def to_original(net: Network) -> dict[str, Tensor]:
    """The network's state under the original's names; F as (classes, features)."""
    names, found = original_modules(net), {}
    for name, tensor in net.state_dict().items():
        module, _, leaf = name.rpartition(".")
        flat = tensor.flatten(1) if leaf == "weight_fb" else tensor
        found[f"{names[module]}.{leaf}"] = flat.detach().cpu().contiguous()
    return found


def load_original(net: Network, state: Mapping[str, Tensor], where: str) -> None:
    """Load a state under the original's names.

    The originals also hold feedback weights that their mode never uses (of a first convolution, of
    dfa's layers): those are passed over. UserError that says which names or shapes do not match.
    """
    ours = {old: name for name, old in _names_of_state(net).items()}
    mine = net.state_dict()
    spare = {k for k in state if k.endswith(".weight_fa") and k not in ours}
    absent = sorted(set(ours) - set(state))
    foreign = sorted(set(state) - set(ours) - spare)
    if absent or foreign:
        what = " and ".join(filter(None, [_list("lacks", absent), _list("has unknown", foreign)]))
        raise UserError(
            f"{where} does not match this network: it {what}; check --model and --feedback"
        )
    for old, name in ours.items():
        if state[old].numel() != mine[name].numel():
            raise UserError(
                f"{where} does not match this network: {old} has shape "
                f"{tuple(state[old].shape)}, ours {tuple(mine[name].shape)}; check "
                "--dataset and --width"
            )
    net.load_state_dict({n: state[old].reshape(mine[n].shape) for old, n in ours.items()})


def _names_of_state(net: Network) -> dict[str, str]:
    names = original_modules(net)
    split = [name.rpartition(".") for name in net.state_dict()]
    return {f"{module}.{leaf}": f"{names[module]}.{leaf}" for module, _, leaf in split}


def _list(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 4} more" if names[4:] else ""
    return f"{what} {', '.join(names[:4])}{more}"
