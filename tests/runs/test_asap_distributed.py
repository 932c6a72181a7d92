"""asap.train on two processes: gloo on the CPU, DistributedDataParallel, one network."""

import json
import os
from pathlib import Path
from typing import Any

import click.testing
import pytest

torch = pytest.importorskip("torch", reason="torchrun is PyTorch's")
from torch.nn import functional  # noqa: E402

from tests.helpers.processes import gloo, of_two_processes, torchrun, two_runs  # noqa: E402
from tests.helpers.records import metrics, steady_lines  # noqa: E402

MODES = {
    "bp": {},
    "fa": {},
    "dfa": {},
    "kp": {},
    "asap": {},
    "wt": {"wt": True},
    "asap_k4": {},
}
STEPS, LR = 10, 0.03


def network(label: str) -> Any:
    from asap.networks import make_network

    torch.manual_seed(5)
    mode = "asap" if label == "wt" else label
    model = "resnet18" if label == "asap_k4" else "convnet"
    return make_network(model, mode, width=0.04, size=16, **MODES[label]).double()


def data() -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(STEPS, 12, 3, 16, 16, dtype=torch.float64, generator=generator)
    return images, torch.randint(10, (STEPS, 12), generator=generator)


def _member(rank: int, port: int, results: Any) -> None:
    os.environ |= gloo(rank, port)
    from asap.learner import Learner, sgd
    from common.backends.torch_distributed import join

    torch.set_num_threads(1)
    world, _ = join(torch.device("cpu"))
    states = {}
    for label in MODES:
        learner = Learner(network(label), sgd(LR), world=world)
        images, labels = data()
        half = slice(6 * rank, 6 * rank + 6)
        for x, y in zip(images[:, half], labels[:, half], strict=True):
            learner.train_step(x, y)
        learner.share_statistics()
        states[label] = {n: t.numpy() for n, t in learner.net.state_dict().items()}
    world.close()
    results.put((rank, states))


def one_process(label: str) -> dict[str, Any]:
    """One process that normalises each half on its own and lets autograd train B as well; running
    statistics are those of the first half."""
    net = network(label).train()
    learning = [p for p in net.parameters() if p.requires_grad]
    for bias in net.cancelled_biases():
        bias.grad = torch.zeros_like(bias)
        learning.append(bias)
    optimiser = torch.optim.SGD(learning, lr=LR, momentum=0.9, weight_decay=5e-4)
    for x, y in zip(*data(), strict=True):
        for parameter in learning:
            parameter.grad = None if parameter.requires_grad else parameter.grad
        loss = functional.cross_entropy(net(x[:6]), y[:6]) / 2
        statistics = {n: b.clone() for n, b in net.named_buffers()}
        (loss + functional.cross_entropy(net(x[6:]), y[6:]) / 2).backward()
        optimiser.step()
        for name, buffer in net.named_buffers():
            buffer.copy_(statistics[name])
    return {n: t.numpy() for n, t in net.state_dict().items()}


def test_two_processes_equal_one_that_normalises_each_half() -> None:
    """Gradients summed instead of averaged, feedback that drifts apart, an unused parameter."""
    answers = of_two_processes(_member)
    for label in MODES:
        expected = one_process(label)
        for rank in (0, 1):
            for name, tensor in answers[rank][label].items():
                gap = abs(tensor - expected[name]).max()
                size = max(abs(expected[name]).max(), 1e-3)
                assert gap <= 1e-10 * size, (label, rank, name, gap)


def run_two(log: Path, *words: object, signal_at: int = 0) -> tuple[list[int | None], list[str]]:
    """Exit codes, and what each of the two said."""
    return two_runs(log, "asap.train", "asap.learner", *words, signal_at=signal_at, seconds=120)


def test_a_signal_to_one_process_stops_both_and_they_resume_to_the_same_bits(
    tmp_path: Path,
) -> None:
    """A process left waiting for one that has gone; sums that are counted twice after a resume."""
    log = tmp_path / "log"
    words = [
        "--data",
        "digits",
        "--limit-train",
        480,
        "--limit-test",
        50,
        "--batch-size",
        24,
        "--feedback",
        "asap",
        "--width",
        0.05,
        "--epochs",
        2,
        "--threads",
        1,
        "--quiet",
        "--checkpoint-every",
        5,
    ]
    codes, printed = run_two(log, *words, "--out", tmp_path / "whole")
    assert codes == [0, 0], printed
    codes, printed = run_two(log, *words, "--out", tmp_path / "cut", signal_at=3)
    assert codes == [143, 143], printed
    assert "SIGTERM: checkpoint written" in printed[0] and "checkpoint" not in printed[1]
    summary = json.loads((tmp_path / "cut/summary.json").read_text())
    assert (summary["status"], summary["step"]) == ("interrupted", 16)
    codes, printed = run_two(log, "--resume", tmp_path / "cut")
    assert codes == [0, 0], printed
    assert "resuming" in printed[0] and "resuming" not in printed[1]
    assert steady_lines(tmp_path / "whole") == steady_lines(tmp_path / "cut")
    whole, cut = (
        tmp_path / run / "checkpoints/last/tensors.safetensors" for run in ("whole", "cut")
    )
    assert whole.read_bytes() == cut.read_bytes()


def test_torchrun_trains_one_run(tmp_path: Path) -> None:
    """Two writers in one directory, or a test set that is counted wrongly."""
    words = [
        "--data",
        "digits",
        "--limit-train",
        96,
        "--limit-test",
        50,
        "--batch-size",
        24,
        "--feedback",
        "asap",
        "--width",
        0.05,
        "--epochs",
        2,
        "--quiet",
    ]
    done = torchrun("asap.train", *words, "--out", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [4, 8]
    assert all(round(line["test_accuracy"] * 50 / 100, 6) % 1 == 0 for line in lines)
    assert done.stdout.count("Epoch: 1") == 1
    from asap.evaluate import main

    # The file that the first process wrote is the network that both tested.
    best = max(line["test_accuracy"] for line in lines)
    outcome = click.testing.CliRunner().invoke(
        main,
        [
            "--data",
            "digits",
            "--feedback",
            "asap",
            "--width",
            "0.05",
            "--limit-test",
            "50",
            "--model_path",
            str(tmp_path / "run/checkpoint/digits_convnet_asap.pth"),
        ],
    )
    assert f"test accuracy : {best:.2f}" in outcome.output
    codes, logs = run_two(tmp_path / "log", *words, "--batch-size", 25, "--out", tmp_path / "odd")
    assert 0 not in codes
    assert "option --batch-size (=25) must be a multiple of the 2 processes" in "".join(logs)
