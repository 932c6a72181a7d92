"""The expressivity study: kernels, splits and intervals against what is known of them."""

import numpy as np
import pytest

from common.errors import UserError
from s3net.expressibility import compare, kernel, universality
from s3net.expressibility.data import Data, indices, load, standardised

# MSE on diabetes (s3net, ntk 8), B -> (residual, proposed, with the identity branch).
KNOWN = {2: (3483.3, 3452.4, 3467.2), 5: (3416.9, 3354.7, 3364.7), 8: (3340.6, 3272.7, 3279.1)}


def test_the_study_finds_the_recorded_numbers() -> None:
    """Another split, a missing or added branch, an error that is divided twice."""
    rows = compare.measure(load("diabetes"), ("residual", "proposed"), KNOWN, (13,), identity=True)
    for row in rows:
        names = ("residual", "proposed", "proposed_with_identity")
        assert row["mse"] == pytest.approx(
            KNOWN[row["blocks"]][names.index(row["wiring"])], abs=0.1
        )
        assert row["mse_over_ntest"] == pytest.approx(row["mse"] / 45)


def test_shallow_kernels_are_known_by_hand() -> None:
    """One block without shortcuts at orthogonal unit inputs, sigma_w^2 = 2, no bias: the arc-cosine
    kernel is 1 / pi of the variance."""
    x = np.eye(2) * np.sqrt(2)  # q = 1 on the diagonal, 0 beside it
    kernels = kernel.kernels(x, wiring="plain", blocks=1, w_std=np.sqrt(2), b_std=0.0)
    # dense: 2, 0; ReLU and dense: 2, 2/pi; and once more with c = 1/pi.
    c = 1 / np.pi
    expected = 2 * (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / np.pi
    np.testing.assert_allclose(kernels.nngp, [[2, expected], [expected, 2]], rtol=1e-14)


def test_the_diagonal_is_exact_and_the_kernel_symmetric() -> None:
    """arccos near 1: the kernel of a set with itself must not lose half of its digits."""
    x = np.random.RandomState(0).standard_normal((5, 3))
    for wiring in kernel.WIRINGS:
        kernels = kernel.kernels(x, wiring=wiring, blocks=8)
        for k in kernels:
            np.testing.assert_allclose(k, k.T, rtol=1e-13)
        # Of a point with itself, c = 1 throughout: as if it were alone.
        single = kernel.kernels(x[:1], wiring=wiring, blocks=8)
        assert kernels.ntk[0, 0] == pytest.approx(single.ntk[0, 0], rel=1e-14)


def test_posteriors_interpolate_without_a_ridge_and_shrink_with_one() -> None:
    """A ridge that is not relative, a covariance that is not one."""
    x = np.random.RandomState(1).standard_normal((12, 3))
    y = np.sin(x.sum(1, keepdims=True))
    whole = kernel.kernels(x, wiring="proposed", blocks=2)
    for kind in ("ntk", "nngp"):
        exact = kernel.predict(whole, whole, whole, y, ridge=0.0, kind=kind)
        np.testing.assert_allclose(exact.mean, y, atol=1e-8)
        assert abs(np.diag(exact.covariance)).max() < 1e-8
        train, cross, test = kernel.parts(whole, np.arange(8), np.arange(8, len(whole.ntk)))
        posterior = kernel.predict(train, cross, test, y[:8], ridge=0.1, kind=kind)
        assert np.linalg.eigvalsh(posterior.covariance).min() > -1e-10
        a, b, c = (kernel.Kernels(*(7 * k for k in part)) for part in (train, cross, test))
        again = kernel.predict(a, b, c, y[:8], ridge=0.1, kind=kind)
        np.testing.assert_allclose(again.mean, posterior.mean, rtol=1e-10)


def test_intervals_of_overlapping_splits_are_wider() -> None:
    """The plain t interval, which calls any gap significant if only the splits are many."""
    values = np.random.RandomState(0).standard_normal(400) + 1
    mean, low, high = compare.interval(values, 0.1)
    plain = 1.966 * values.std(ddof=1) / 20
    assert mean == pytest.approx(values.mean()) and (high - low) / 2 > 5 * plain
    assert compare.interval(values[:1], 0.1)[1:] == (-np.inf, np.inf)


def test_gaps_are_paired_by_split() -> None:
    """A gap that is the difference of two unrelated lists."""
    rows = [
        {"wiring": w, "kernel": "ntk", "blocks": 2, "split": s, "mse": 10 * s + (w == "residual")}
        for s in (3, 1, 2)
        for w in ("proposed", "residual")
    ]
    (gap,) = compare.gaps(rows)
    assert (gap.splits, gap.mean, gap.wins, gap.significant) == (3, 1.0, 1.0, True)


def test_digits_are_classified() -> None:
    """Targets or classes in another order."""
    data = load("digits")
    few = Data(data.name, data.x[:400], data.y[:400], True)
    (row,) = compare.measure(few, ("proposed",), (2,), (13,))
    assert row["accuracy"] > 85


def test_standardised_features_have_mean_zero_and_variance_one() -> None:
    data = standardised(Data("x", np.array([[1.0, 5.0], [3.0, 5.0]]), np.zeros((2, 1))))
    assert data.x.tolist() == [[-1, 0], [1, 0]]


def test_boston_comes_from_a_file(tmp_path) -> None:
    """A header, a separator, or a file that is something else."""
    table = np.random.RandomState(0).rand(30, 14)
    csv = tmp_path / "b.csv"
    csv.write_text("a,b\n" + "\n".join(",".join(map(repr, row)) for row in table.tolist()))
    np.savez(tmp_path / "b.npz", x=table[:, :13], y=table[:, 13])
    for file in (csv, tmp_path / "b.npz"):
        data = load("boston", file)
        np.testing.assert_array_equal(data.x, table[:, :13])
        assert [len(half) for half in indices(len(data.x))] == [27, 3]
    (tmp_path / "c.csv").write_text("1,2\n3,4\n")
    (tmp_path / "empty.csv").write_text("\n")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:200])
    np.save(tmp_path / "array.npy", table)
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    table[3, 13] = np.nan
    np.savez(tmp_path / "nan.npz", x=table[:, :13], y=table[:, 13])
    wrong = ("c.csv", "missing.csv", "empty.csv", "cut.npz", "array.npz", "nan.npz")
    for name in wrong:
        with pytest.raises(UserError, match=rf"boston \(=.*{name}\)"):
            load("boston", tmp_path / name)


@pytest.mark.parametrize("name", ["sin", "exp", "runge"])
def test_one_neuron_a_layer_approximates_with_the_promised_rate(name: str) -> None:
    """A construction that misses its bound, max|f''| (b - a)^2 / (8 n^2), or its rate."""
    f, a, b, bend = universality.FUNCTIONS[name]
    assert bend is not None
    depths = [32, 64, 128, 256]
    errors = [universality.largest_error(name, depth) for depth in depths]
    for depth, error in zip(depths, errors, strict=True):
        assert error <= bend * (b - a) ** 2 / (8 * depth**2) * (1 + 1e-9)
    assert universality.rate(depths, errors) == pytest.approx(2, abs=0.2)


def test_the_net_is_the_interpolation_and_each_layer_sees_one_neuron() -> None:
    """A net that is not a chain: layer i must compute relu(x - t_i) from the neuron before it."""
    net = universality.OneNeuronNet.of(np.cos, -1.0, 2.0, 9)
    t = np.linspace(-1, 2, 10)
    np.testing.assert_allclose(net(t), np.cos(t), atol=1e-14)
    x = np.linspace(-1, 2, 101)
    np.testing.assert_allclose(net(x), np.interp(x, t, np.cos(t)), atol=1e-14)
    h = x
    for i, d in enumerate(net.steps):
        h = np.maximum(h - d, 0)
        np.testing.assert_allclose(h, np.maximum(x - t[i], 0), atol=1e-14)
