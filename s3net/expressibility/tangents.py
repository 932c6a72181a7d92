"""The kernels of `kernel.py` by the paper's own tool, neural-tangents on JAX: a second route.

Needs `jax<0.6` and neural-tangents 0.6.5. Float64 is switched on for the call only.
"""

import numpy as np

from common.errors import UserError
from s3net.expressibility.kernel import Array, Kernels


def available() -> str:
    """Why this route cannot be taken here; "" if it can."""
    from importlib import metadata

    versions = {}
    for name in ("jax", "neural-tangents"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            return f"{name} is not installed"
    if tuple(int(part) for part in versions["jax"].split(".")[:2]) >= (0, 6):
        return f"jax {versions['jax']} is too new for neural-tangents 0.6.5: it needs jax<0.6"
    return ""


def kernels(
    x: Array,
    other: Array | None = None,
    *,
    wiring: str,
    blocks: int,
    identity: bool = False,
    w_std: float = 1.5,
    b_std: float = 0.05,
) -> Kernels:
    """As `kernel.kernels`, with branches that are networks of their own, as in the notebook.

    Raises UserError where neural-tangents cannot run. KeyError for another wiring.
    """
    if why := available():
        raise UserError(f"the neural-tangents route cannot be taken: {why}")
    from jax.experimental import enable_x64
    from neural_tangents import stax

    def dense(width: int = 8) -> tuple:  # the width plays no part in the kernel
        return stax.Dense(width, W_std=w_std, b_std=b_std)

    def block() -> tuple:
        return stax.serial(stax.Relu(), dense())

    def summed(*branches: tuple) -> tuple:
        return stax.serial(stax.FanOut(len(branches)), stax.parallel(*branches), stax.FanInSum())

    def chain(length: int) -> tuple:
        return stax.serial(*(block() for _ in range(length))) if length else stax.Identity()

    def residual() -> list[tuple]:
        return [summed(block(), stax.Identity()) for _ in range(blocks)]

    def proposed() -> list[tuple]:
        return [summed(*(chain(j) for j in range(0 if identity else 1, blocks + 1)))]

    def densely() -> list[tuple]:
        # ReLU of parts side by side is the parts' ReLUs side by side; so ordered, it is a net that
        # neural-tangents takes. It carries along what is joined, and puts one more part beside it.
        wider = (stax.Identity(), stax.serial(dense(), stax.Relu()))
        grow = stax.serial(stax.FanOut(2), stax.parallel(*wider), stax.FanInConcat(-1))
        return [stax.Relu(), *[grow] * blocks]

    bodies = {
        "residual": residual,
        "proposed": proposed,
        "dense": densely,
        "plain": lambda: [chain(blocks)],
    }
    body = bodies[wiring]()
    last = [] if wiring == "dense" else [stax.Relu()]
    with enable_x64():
        _, _, kernel_fn = stax.serial(dense(), *body, *last, dense(1))
        right = None if other is None else np.asarray(other, np.float64)
        both = kernel_fn(np.asarray(x, np.float64), right, ("nngp", "ntk"))
        return Kernels(np.asarray(both.nngp), np.asarray(both.ntk))
