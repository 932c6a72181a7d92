"""NTK and NNGP of every recorded net: kernels, predictions, covariances, errors, by each route."""

from typing import Any

import numpy as np

from tests.golden.trace import Trace

ROUTES: dict[str, tuple[str, ...]] = {"numpy": (), "neural_tangents": ("jax", "neural_tangents")}
RTOL = 1e-6
OLD_TOOL = 2e-4  # relative: the notebook's prints of 2021, float32 of another library version


def replay_kernels(trace: Trace, implementation: str) -> None:
    """AssertionError where a number differs."""
    from s3net.expressibility import kernel, tangents

    if implementation == "neural_tangents" and (why := tangents.available()):
        import pytest

        pytest.skip(f"neural-tangents: {why}")
    route = kernel.kernels if implementation == "numpy" else tangents.kernels
    data = trace.stem.removeprefix("ntk_").removesuffix("_f64")
    x, y, x_test, y_test = _arrays(trace, data)
    words: dict[str, Any] = {"w_std": trace.number("hp_W_std", 1.5)}
    words["b_std"] = trace.number("hp_b_std", 0.05)
    ridge = trace.number("hp_diag_reg", 0.1)
    for key in ("jax_version", "nt_version"):
        assert trace.text(key, "unknown")
    errors = {}
    for name in dict.fromkeys(k.split("/")[1] for k in trace if k.count("/") == 2):
        net, _, blocks = name.rpartition("_B")
        words |= {
            "wiring": net.split("_")[0],
            "blocks": int(blocks),
            "identity": net == "proposed_with_identity",
        }
        halves = np.split(np.arange(len(x) + len(x_test)), [len(x)])
        train, cross, test = kernel.parts(route(np.concatenate([x, x_test]), **words), *halves)
        at = f"{data}/{name}"
        for kind, k_tt, k_st in (("ntk", train.ntk, cross.ntk), ("nngp", train.nngp, cross.nngp)):
            posterior = kernel.predict(train, cross, test, y, ridge=ridge, kind=kind)
            trace.compare(f"{at}/{kind}_pred_mean", posterior.mean, RTOL)
            error = kernel.mean_squared_error(posterior.mean, y_test)
            trace.compare(f"{at}/{kind}_mse", error, RTOL)
            trace.compare(f"{at}/{kind}_mse_over_ntest", error / len(y_test), RTOL)
            errors[net, int(blocks), kind] = error / len(y_test)
            ours = {
                "pred_cov": posterior.covariance,
                "pred_cov_diag": np.diag(posterior.covariance),
                "k_train_train": k_tt,
                "k_test_train": k_st,
                "k_train_train_6x6": k_tt[:6, :6],
                "k_test_train_6x6": k_st[:6, :6],
                "k_train_train_trace_fro": [np.trace(k_tt), np.linalg.norm(k_tt)],
            }
            for what, value in ours.items():
                if f"{at}/{kind}_{what}" in trace:
                    trace.compare(f"{at}/{kind}_{what}", value, RTOL)
    _old_prints(trace, data, errors)


def _arrays(trace: Trace, data: str) -> list[np.ndarray]:
    """x_train, y_train, x_test, y_test: of the trace, or of the library and the split's rule."""
    names = ("x_train", "y_train", "x_test", "y_test")
    if f"{data}/x_train" in trace:
        return [trace[f"{data}/{name}"] for name in names]
    from s3net.expressibility.data import indices, load

    ours = load(data)
    halves = [values[rows] for rows in indices(len(ours.x)) for values in (ours.x, ours.y)]
    for name, values in zip(names[2:], halves[2:], strict=True):
        trace.compare(f"{data}/{name}", values, 1e-12)
    return halves


def _old_prints(trace: Trace, data: str, errors: dict) -> None:
    """The notebook's own numbers: those of 2021 agree, those of 2020 (the published figure) do not;
    what holds of both is that the proposed wiring errs less at every depth."""
    for key in [k for k in trace if "/notebook_" in k]:
        net = "proposed" if "proposed" in key else "residual"
        recorded = trace[key]
        ours = [errors[net, b, "ntk"] for b in range(2, 2 + len(recorded))]
        if "may2021" in key:
            np.testing.assert_allclose(ours, recorded, rtol=OLD_TOOL)
        else:
            proposed = trace[key.replace("residual", "proposed")]
            assert net == "proposed" or (recorded > proposed).all()
    for (net, blocks, kind), error in errors.items():
        if net == "residual" and data == "boston" and kind == "ntk":
            assert errors["proposed", blocks, kind] < error
