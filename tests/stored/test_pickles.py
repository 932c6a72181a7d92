"""Every rule's PyTorch modules are copied, pickled, saved whole and as a state of plain tensors."""

import copy
import io
import pickle
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="modules of torch")


def asap_net(rule: str) -> Any:
    pytest.importorskip("torchvision")
    from asap.networks import make_network

    return make_network("convnet", rule, width=0.04, size=16, classes=5), (3, 16, 16)


def converted(mode: str) -> Any:
    from asap.conversion import convert

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(),
                              torch.nn.Linear(36, 5))  # fmt: skip
    convert(net, mode)
    return net, (3, 5, 5)


def burst(kind: str) -> Any:
    from burstprop.imagenet.networks import rectified
    from burstprop.networks import stack

    if kind == "rectified":
        return rectified([(3, 4, 3, 2)], [36, 5]), (3, 7, 7)
    return stack([(3, 4, 3, 2)], [36, 6, 5], recurrent=kind), (3, 7, 7)


def lra_e(activation: str) -> Any:
    from lra_e.torch_rule import MLP

    return MLP([6, 5, 4], activation=activation, bias=True), (6,)


CASES = {
    **{f"asap-{rule}": (asap_net, rule) for rule in ("asap", "bp", "dfa")},
    **{f"asap-converted-{mode}": (converted, mode) for mode in ("kp", "fixed")},
    **{f"burstprop-{kind}": (burst, kind) for kind in ("learned", "fixed", "rectified")},
    **{f"lra_e-{name}": (lra_e, name) for name in ("tanh", "relu", "sign", "linear", "sigmoid")},
}


@pytest.mark.parametrize("case", CASES)
def test_a_module_survives_every_way_of_being_kept(case):
    """Lambdas or local functions among the attributes: no `torch.save`, no process pool."""
    make, how = CASES[case]
    torch.manual_seed(0)
    net, shape = make(how)
    net.eval()
    images = torch.rand(2, *shape)
    wanted = net(images)
    whole, state = io.BytesIO(), io.BytesIO()
    torch.save(net, whole)
    torch.save(net.state_dict(), state)
    fresh = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    state.seek(0)
    fresh.load_state_dict(torch.load(state, weights_only=True))
    whole.seek(0)
    kept = [copy.deepcopy(net), pickle.loads(pickle.dumps(net)), fresh,
            torch.load(whole, weights_only=False)]  # fmt: skip
    for again in kept:
        assert again(images).equal(wanted)
