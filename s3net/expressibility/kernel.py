"""NTK and NNGP of infinitely wide ReLU networks in each wiring, in closed form (s3net, ntk 5).

Every layer is dense, f(x) = sigma_w W x / sqrt(width) + sigma_b b with W, b ~ N(0, 1). For a pair
of inputs of dimension d, q is the covariance of a unit's values, t the tangent kernel, v, v' the
variances:

    input   q = x.x'/d, t = 0
    dense   q <- sigma_w^2 q + sigma_b^2,  t <- q_new + sigma_w^2 t
    ReLU    c = q / sqrt(v v'), theta = arccos c,
            q <- sqrt(v v') (sin theta + (pi - theta) c) / (2 pi),  t <- t (pi - theta) / (2 pi)
    sum     q, t and v add: the summands are uncorrelated, since fresh zero-mean weights separate
            them, whether they are branches of their own (the notebook) or one trunk (the drawing)
    concat  of k parts of one width: q, t and v are their means

The network is dense, then B blocks of (ReLU, dense) in a wiring of `s3net.topology`, ReLU, dense
with one output: B + 2 dense layers on the main path, O(B) work. Shortcuts end in a sum, but in the
dense wiring in a concatenation, as in DenseNet: with sums it would be the residual wiring itself.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from s3net.topology import wire

Array = NDArray[np.float64]
WIRINGS = {"residual": "residual", "proposed": "sparse", "dense": "dense", "plain": "plain"}
"""Names of the study -> wirings of the topology."""


class Kernels(NamedTuple):
    """Between n and m inputs, each (n, m): nngp is q, ntk is t, at the output."""

    nngp: Array
    ntk: Array


@dataclass(frozen=True)
class State:
    """q, t (n, m) and the variances v (n,), w (m,) at one place of the network.

    same: both inputs are the same set, so that c is exactly 1 on the diagonal. arccos near 1 would
    lose half of the digits there.
    """

    q: Array
    t: Array
    v: Array
    w: Array
    same: bool

    def __add__(self, other: "State") -> "State":
        q, t = self.q + other.q, self.t + other.t
        return State(q, t, self.v + other.v, self.w + other.w, self.same)

    def scaled(self, factor: float) -> "State":
        """Of values times the root of `factor`."""
        return State(factor * self.q, factor * self.t, factor * self.v, factor * self.w, self.same)

    def dense(self, w_std: float, b_std: float) -> "State":
        """After a dense layer."""
        scale, shift = w_std**2, b_std**2
        q = scale * self.q + shift
        v, w = (scale * variance + shift for variance in (self.v, self.w))
        return State(q, q + scale * self.t, v, w, self.same)

    def relu(self) -> "State":
        """After a ReLU."""
        size = np.sqrt(self.v[:, None] * self.w[None, :])
        with np.errstate(invalid="ignore"):
            c = np.clip(np.where(size > 0, self.q / size, 0.0), -1.0, 1.0)
        if self.same:
            np.fill_diagonal(c, 1.0)
        above = np.pi - np.arccos(c)  # pi - theta
        q = size * (np.sqrt(1 - c * c) + above * c) / (2 * np.pi)
        return State(q, self.t * above / (2 * np.pi), self.v / 2, self.w / 2, self.same)


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
    """Between the rows of x (n, d) and of `other` (m, d); None: x itself, exact on the diagonal.

    wiring     of WIRINGS
    blocks     B, at least 1
    identity   proposed only: the first dense output enters the sum too, as drawn in the paper and
               not as computed in its notebook
    KeyError for another wiring.
    """
    same = other is None
    y = x if other is None else other
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    d = x.shape[1]
    v, w = ((a * a).sum(1) / d for a in (x, y))
    state = State(x @ y.T / d, np.zeros((len(x), len(y))), v, w, same)
    # A ReLU of parts side by side is the parts' ReLUs: these are taken before they are joined.
    joined = wiring == "dense"

    def layer(h: State) -> State:
        return h.dense(w_std, b_std).relu() if joined else h.relu().dense(w_std, b_std)

    def join(kept: list[State]) -> State:
        first = 1 if wiring == "proposed" and not identity else 0
        total = sum(kept[first + 1 :], kept[first])
        return total.scaled(1 / len(kept)) if joined else total

    state = state.dense(w_std, b_std)
    state = wire(WIRINGS[wiring], [layer] * blocks, state.relu() if joined else state, join)
    state = (state if joined else state.relu()).dense(w_std, b_std)
    return Kernels(state.q, state.t)


def parts(whole: Kernels, train: Any, test: Any = None) -> tuple[Kernels, Kernels, Kernels]:
    """(train-train, test-train, test-test) of the kernels of one set of points with itself.

    train, test   indices; or train: how many come first, the rest are for the test
    """
    if test is None:
        train, test = np.arange(train), np.arange(train, len(whole.ntk))
    pairs = ((train, train), (test, train), (test, test))
    a, b, c = (Kernels(*(k[np.ix_(*pair)] for k in whole)) for pair in pairs)
    return a, b, c


class Posterior(NamedTuple):
    """mean (s, outputs) and covariance (s, s) of an output at s test points."""

    mean: Array
    covariance: Array


def predict(
    train: Kernels,
    cross: Kernels,
    test: Kernels,
    y: Array,
    *,
    ridge: float = 0.1,
    kind: str = "ntk",
) -> Posterior:
    """After training for ever (kind "ntk") or of the Gaussian process ("nngp"), prior mean 0.

    train   kernels between training points (n, n);  cross (s, n);  test (s, s)
    y       targets (n, outputs);  ridge is relative: times the mean of the diagonal
    With M = K_st (K_tt + ridge tr(K_tt)/n I)^-1: mean M y, and the covariance of what M leaves of
    the network's random start.
    """
    k_tt, k_st = (train.ntk, cross.ntk) if kind == "ntk" else (train.nngp, cross.nngp)
    n = len(k_tt)
    regular = k_tt + ridge * np.trace(k_tt) / n * np.eye(n)
    m = np.linalg.solve(regular, k_st.T).T
    if kind == "nngp":
        return Posterior(m @ y, test.nngp - m @ cross.nngp.T)
    half = m @ cross.nngp.T
    return Posterior(m @ y, test.nngp - half - half.T + m @ train.nngp @ m.T)


def mean_squared_error(mean: Array, y: Array) -> float:
    """Over test points and outputs. The notebook divides it by the test points once more."""
    return float(np.mean((mean - y) ** 2))
