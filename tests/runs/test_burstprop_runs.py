"""train_mnist and train_cifar10 killed in the middle of an epoch and resumed: the same bits."""

import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="burstprop trains with torch")
from tests.helpers import records  # noqa: E402
from tests.helpers.processes import train_and_kill  # noqa: E402

SMALL = ["--data", "digits", "--limit-train", "100", "--limit-test", "50", "-batch_size", "24",
         "--epochs", "2", "--threads", "1", "--quiet", "--seed", "3",
         "--checkpoint-every", "2"]  # fmt: skip
ONE = ["-n_hidden_layers", "1"]
RULES = {
    "learned": [*ONE, "-weight_fa_learning", "True", "--delta-angles", "epoch", "--audit"],
    "fixed": [*ONE, "-weight_r_learning", "False"],
    "conv": ["-conv_net", "True", "-weight_fa_learning", "True", "--revision", "2020"],
    "backprop": [*ONE, "-use_backprop", "True"],
    "matched": [*ONE, "-use_backprop", "True", "--matched"],
    "perturbation": [*ONE, "-use_node_pertubation", "True"],
    "units": [*ONE, "-use_node_pertubation", "True", "-sequential_pertubation", "True",
              "-perturb_units", "True", "--compat", "original"],
}  # fmt: skip


def train(log: Path, *words: object, kill_at: int = 0, script: str = "mnist") -> int | None:
    return train_and_kill(
        log, f"burstprop.train_{script}", "burstprop.learner", *words, kill_at=kill_at
    )


def left(run: Path) -> tuple[bytes, list[dict], list[list]]:
    """What every run leaves, and the original's files."""
    networks = [torch.load(run / f"{name}.pth", weights_only=True)
                for name in ("initial_model", "model")]  # fmt: skip
    plain = [[(n, t.tolist()) for n, t in state.items()] for state in networks]
    return *records.left(run), plain


@pytest.mark.parametrize("rule", RULES)
def test_a_killed_run_goes_on_to_the_same_bits(rule: str, tmp_path: Path) -> None:
    """A momentum, W - Y of the first layer, half an epoch's angles, the noise's generator, or the
    unit whose turn it is, that is not stored."""
    words = [*SMALL, *RULES[rule]]
    log = tmp_path / "log"
    assert train(log, tmp_path / "whole", *words) == 0, log.read_text()
    assert train(log, tmp_path / "cut", *words, kill_at=9) == -signal.SIGKILL, log.read_text()
    assert train(log, "--resume", tmp_path / "cut") == 0, log.read_text()
    assert left(tmp_path / "cut") == left(tmp_path / "whole")


def test_cifars_script_goes_on_to_the_same_bits_with_crops_and_flips(tmp_path: Path) -> None:
    """An augmentation that is drawn anew; the wide net of fixed feedback."""
    words = ["--data", "digits", "--limit-train", "20", "--limit-test", "10", "-batch_size", "5",
             "--epochs", "2", "--threads", "1", "--quiet",
             "-weight_fa_learning", "False"]  # fmt: skip
    log = tmp_path / "log"
    assert train(log, tmp_path / "whole", *words, script="cifar10") == 0, log.read_text()
    assert train(log, tmp_path / "cut", *words, kill_at=7, script="cifar10") == -signal.SIGKILL
    assert train(log, "--resume", tmp_path / "cut", script="cifar10") == 0, log.read_text()
    one, two = (tmp_path / n / "checkpoints/last/tensors.safetensors" for n in ("whole", "cut"))
    assert one.read_bytes() == two.read_bytes()
