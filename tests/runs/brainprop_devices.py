"""What `test_brainprop_runs` calls in a process of its own: two logical CPU devices.

TensorFlow divides the CPU once, before it does anything else.
"""

from types import SimpleNamespace

import numpy as np

STEPS = ((16, 0), (16, 1), (7, 2))  # images and seed; the last batch is ragged and odd


def learners(architecture: str, algorithm: str, feedback: str = "shared"):
    """The same narrow net twice, in float64: on two devices, and on one."""
    from brainprop.learner import Learner
    from brainprop.networks import build
    from brainprop.program import devices

    strategy = devices(SimpleNamespace(devices=2, device="cpu"))
    assert strategy.num_replicas_in_sync == 2
    found = []
    for scope in (strategy, None):
        with scope.scope() if scope else np.errstate():
            net = build(architecture, (12, 12, 1), 10, algorithm, std=0.2, seed=3, dtype="float64",
                        l2=1e-3, widths={1500: 9, 1000: 8, 500: 7, 32: 4})  # fmt: skip
        found.append(Learner(net, algorithm, batch_size=16, lr=0.05, epsilon=0.5, seed=5,
                             feedback=feedback, strategy=scope))  # fmt: skip
    return found


def batches():
    """Images and labels of every step."""
    import tensorflow as tf

    for n, seed in STEPS:
        random = np.random.RandomState(seed)
        yield tf.constant(random.rand(n, 12, 12, 1)), tf.constant(random.randint(0, 10, n))


def same(two, one) -> None:
    """Every number of both learners."""
    ours, theirs = two.state(), one.state()
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_allclose(np.asarray(ours[name]), np.asarray(theirs[name]), 1e-11, 1e-13)


def dense_equals_one_device() -> None:
    """Loss, number correct and every weight, exploration included."""
    for algorithm, feedback in (("BrainProp", "shared"), ("BrainProp", "separate"),
                                ("EBP", "shared")):  # fmt: skip
        two, one = learners("dense", algorithm, feedback)
        for images, labels in batches():
            mine, theirs = two.train_step(images, labels), one.train_step(images, labels)
            np.testing.assert_allclose(float(mine[0]), float(theirs[0]), 1e-12)
            assert int(mine[1]) == int(theirs[1])
        same(two, one)


def conv_equals_halves() -> None:
    """One device that normalises each half by its own statistics."""
    import tensorflow as tf

    two, one = learners("conv", "BrainProp")
    for images, labels in batches():
        n = len(labels)
        draws = one.draw(n, one._steps)
        halves = []
        for mine in (slice(0, n // 2), slice(n // 2, n)):
            own = type(draws)(draws.u[mine], draws.explore[mine], [m[mine] for m in draws.masks])
            halves.append(one.compute(images[mine], labels[mine], own, n, 2))
        a, b = halves
        whole = a._replace(
            loss=a.loss + b.loss,
            correct=a.correct + b.correct,
            gradients=[x + y for x, y in zip(a.gradients, b.gradients, strict=True)],
            statistics=[(x + y) / 2 for x, y in zip(a.statistics, b.statistics, strict=True)],
        )
        tf.function(one._apply)(whole)
        loss, correct = two.train_step(images, labels)
        np.testing.assert_allclose(float(loss), float(whole.loss), 1e-12)
        assert int(correct) == int(whole.correct)
    same(two, one)


def whole_command(folder: str) -> None:
    """The script on two devices."""
    from brainprop.main import main

    main(["MNIST", "conv", "BrainProp", "--data", "digits", "--width", "0.1", "--devices", "2",
          "--limit-train", "128", "--limit-test", "40", "--batch-size", "32", "--epochs", "1",
          "--quiet", "--out", folder])  # fmt: skip


def run(what: str, log: str, *words: str) -> None:
    """Call one of the above; what it prints goes to `log`."""
    from pathlib import Path

    from tests.helpers.processes import speak_into

    speak_into(Path(log))
    globals()[what](*words)
