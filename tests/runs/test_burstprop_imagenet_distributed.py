"""train_imagenet on two processes: hand-made gradients are summed before they are applied."""

import os
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torchrun is PyTorch's")

from tests.helpers.processes import gloo, of_two_processes, two_runs  # noqa: E402
from tests.helpers.records import steady_lines  # noqa: E402

RULES: dict[str, str | None] = {"burstprop": "learned", "feedback": "fixed", "backprop": None}
STEPS, RATES = 5, [0.05] * 7 + [0.02]


def learner(rule: str, world: Any = None) -> Any:
    from burstprop.imagenet.learner import Learner, sgd
    from burstprop.imagenet.networks import make_network

    torch.manual_seed(5)
    net = make_network(5, feedback=RULES[rule], width=0.05, weight_fa_std=0.0).double()
    return Learner(net, RATES, sgd(0.9, 1e-3), world=world)


def data() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(STEPS, 4, 3, 224, 224, dtype=torch.float64, generator=generator)
    return images, torch.randint(5, (STEPS, 4), generator=generator)


def train(rule: str, part: slice, world: Any = None) -> dict[str, Any]:
    """Weights and momenta after some steps on a part of each batch."""
    made = learner(rule, world)
    for x, y in zip(*data(), strict=True):
        made.train_step(x[part], y[part])
    return {name: t.numpy() for name, t in made.state().items() if isinstance(t, torch.Tensor)}


def _member(rank: int, port: int, results: Any) -> None:
    os.environ |= gloo(rank, port)
    from common.backends.torch_distributed import join

    torch.set_num_threads(1)
    world, _ = join(torch.device("cpu"))
    half = slice(2 * rank, 2 * rank + 2)
    results.put((rank, {rule: train(rule, half, world) for rule in RULES}))
    world.close()


def test_two_processes_equal_one() -> None:
    """Sums that are averaged, a mean that is summed, feedback or momenta that drift apart."""
    answers = of_two_processes(_member)
    for rule in RULES:
        expected = train(rule, slice(0, 4))
        for rank in (0, 1):
            for name, tensor in answers[rank][rule].items():
                gap = abs(tensor - expected[name]).max()
                size = abs(expected[name]).max()
                # The conditions of low layers are bad; of what they are, nothing may be lost.
                assert gap <= 1e-9 * size + 1e-15, (rule, rank, name, gap, size)


def run_two(log: Path, *words: object, signal_at: int = 0) -> tuple[list[int | None], list[str]]:
    """Exit codes, and what each of the two said."""
    module = "burstprop.imagenet.learner"
    return two_runs(log, "burstprop.train_imagenet", module, *words, signal_at=signal_at)


def test_two_processes_make_one_run_stop_together_and_go_on(tmp_path: Path) -> None:
    """Two writers in one directory; a test image that both count or neither; a resumed run that
    differs."""
    pytest.importorskip("torchvision", reason="its transforms")
    log = tmp_path / "log"
    words = [
        "--data",
        "digits",
        "--limit-train",
        80,
        "--limit-test",
        7,
        "-batch_size",
        4,
        "-n_epochs",
        1,
        "--width",
        0.05,
        "--threads",
        1,
        "--workers",
        0,
        "--checkpoint-every",
        5,
    ]
    codes, printed = run_two(log, tmp_path / "whole", *words)
    assert codes == [0, 0], printed
    assert printed[0].count(" * Acc@1") == 2 and "Acc@1" not in printed[1]
    line = steady_lines(tmp_path / "whole")[-1]
    assert line["step"] == 20 and round(line["test_accuracy"] * 7 / 100, 6) % 1 == 0
    codes, printed = run_two(log, tmp_path / "cut", *words, signal_at=3)
    assert codes == [143, 143], printed
    codes, printed = run_two(log, "--resume", tmp_path / "cut")
    assert codes == [0, 0], printed
    assert steady_lines(tmp_path / "whole") == steady_lines(tmp_path / "cut")
    whole, cut = (
        tmp_path / run / "checkpoints/last/tensors.safetensors" for run in ("whole", "cut")
    )
    assert whole.read_bytes() == cut.read_bytes()
