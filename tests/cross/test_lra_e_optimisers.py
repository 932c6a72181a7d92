"""The oracle's optimisers against the frameworks' own, over several steps in float64."""

import numpy as np
import pytest

from tests.golden.trace import relative_error
from tests.oracles.lra_e_numpy import SGD, KerasAdamW, TorchAdamW

STEPS = 6


def walk(step) -> np.ndarray:
    """Hand the same start and gradients, some of them exactly zero, to `step(value, gradient)`."""
    random = np.random.RandomState(4)
    value = random.standard_normal((5, 4))
    for _ in range(STEPS):
        gradient = random.standard_normal((5, 4)) * 10.0 ** random.uniform(-9, 0, (5, 4))
        gradient[0] = 0.0
        value = step(value.copy(), gradient)
    return value


def oracle_walk(optimiser) -> np.ndarray:
    def step(value, gradient):
        optimiser.step([value], [gradient])
        return value

    return walk(step)


def test_torch_adamw_is_torchs():
    """Catches an oracle whose AdamW is not the one that the PyTorch programs use."""
    torch = pytest.importorskip("torch", reason="needs torch")
    parameter = torch.nn.Parameter(torch.zeros(5, 4, dtype=torch.float64))
    optimiser = torch.optim.AdamW([parameter], lr=0.01, weight_decay=0.1)

    def step(value, gradient):
        parameter.data.copy_(torch.from_numpy(value))
        parameter.grad = torch.from_numpy(gradient)
        optimiser.step()
        return parameter.detach().numpy()

    ours = oracle_walk(TorchAdamW(0.01, weight_decay=0.1))
    assert relative_error(ours, walk(step)) < 1e-14


@pytest.mark.parametrize("rebuilt", [False, True], ids=["kept", "rebuilt"])
def test_keras_adamw_is_keras(rebuilt):
    """Catches float32 hyperparameters rounded in the wrong places: 1e-6 of every parameter."""
    pytest.importorskip("tensorflow", reason="needs tensorflow")
    keras = pytest.importorskip("keras", reason="needs keras")
    variable = keras.Variable(np.zeros((5, 4)), dtype="float64")
    optimisers = [keras.optimizers.AdamW(0.01, weight_decay=0.1)]

    def step(value, gradient):
        if rebuilt:
            optimisers[0] = keras.optimizers.AdamW(0.01, weight_decay=0.1)
        variable.assign(value)
        optimisers[0].apply_gradients([(keras.ops.convert_to_tensor(gradient), variable)])
        return variable.numpy()

    ours = oracle_walk(KerasAdamW(0.01, weight_decay=0.1, rebuilt=rebuilt))
    assert relative_error(ours, walk(step)) < 1e-14


def test_keras_sgd_keeps_its_rate_in_float32():
    """Catches a rate of 0.001 where TensorFlow computes with the nearest float32 number."""
    pytest.importorskip("tensorflow", reason="needs tensorflow")
    keras = pytest.importorskip("keras", reason="needs keras")
    variable = keras.Variable(np.zeros((5, 4)), dtype="float64")
    optimiser = keras.optimizers.SGD(0.001)

    def step(value, gradient):
        variable.assign(value)
        optimiser.apply_gradients([(keras.ops.convert_to_tensor(gradient), variable)])
        return variable.numpy()

    assert relative_error(oracle_walk(SGD(0.001, float32_lr=True)), walk(step)) < 1e-15
