"""train_mnist and train_cifar10 as their user types them: options, refusals, files, figures."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from burstprop.evaluate import STORED  # noqa: E402
from burstprop.evaluate import main as evaluate  # noqa: E402
from burstprop.fig5 import main as fig5  # noqa: E402
from burstprop.options import SigmoidOptions  # noqa: E402
from burstprop.train_cifar10 import main as cifar10  # noqa: E402
from burstprop.train_mnist import main as mnist  # noqa: E402
from common.errors import UsageError, UserError  # noqa: E402
from tests.helpers.commands import parse, start  # noqa: E402
from tests.helpers.records import metrics, tensorboard  # noqa: E402

QUICK = ["--data", "digits", "--limit-train", "64", "--limit-test", "50", "--quiet",
         "--threads", "1", "--epochs", "2"]  # fmt: skip
ORIGINAL = {
    "batch_size": 16, "validation": True, "hidden_lr": 0.5, "output_lr": 0.25,
    "weight_fa_std": 0.1, "momentum": 0.5, "weight_decay": 0.125, "p_baseline": 0.5,
    "use_backprop": False, "weight_fa_learning": True, "recurrent_input": False,
    "weight_r_range": 0.5, "weight_r_learning": False, "recurrent_lr": 0.5,
    "use_node_pertubation": True, "sequential_pertubation": True, "perturb_units": True,
    "xi_mean": 0.5, "xi_std": 0.25, "info": "two words",
}  # fmt: skip


@pytest.mark.parametrize("command", [mnist, cifar10], ids=["mnist", "cifar10"])
@pytest.mark.parametrize("style", ["-{} {}", "-{}={}", "--{} {}", "--{}={}", "dashed"])
def test_every_option_of_the_original_in_every_spelling(
    command: Any, style: str, monkeypatch
) -> None:
    """A spelling of the interface that is gone."""
    monkeypatch.setattr(SigmoidOptions, "completed", lambda self: self)  # as they were typed
    words: list[str] = ["results"]
    for name, value in ORIGINAL.items():
        text = str(value).lower() if name == "validation" else str(value)
        spelled = "--{} {}" if style == "dashed" else style
        shown = name.replace("_", "-") if style == "dashed" else name
        head, _, rest = spelled.format(shown, "\0").partition(" ")
        words += [head.replace("\0", text), *([text] if rest else [])]
    options = parse(command, *words, "-n_epochs", 7)
    assert {name: getattr(options, name) for name in ORIGINAL} == ORIGINAL
    assert options.epochs == 7 and options.out == Path("results")


def test_defaults_are_the_originals() -> None:
    """One table for two scripts (3.1)."""
    first, second = parse(mnist, "r"), parse(cifar10, "r")
    assert (first.hidden_lr, first.momentum, first.weight_fa_learning) == (0.1, 0.8, False)
    assert (second.hidden_lr, second.momentum, second.weight_fa_learning) == (0.01, 0.9, True)
    for options in (first, second):
        assert (options.epochs, options.batch_size, options.output_lr) == (500, 32, 0.01)
        assert (options.weight_fa_std, options.weight_decay, options.p_baseline) == (1, 1e-6, 0.2)
        assert (options.recurrent_lr, options.weight_r_range, options.xi_std) == (1e-4, 0.01, 1e-3)
        assert options.recurrent_input and options.weight_r_learning and not options.validation
    assert (first.conv_net, first.n_hidden_layers) == (False, 3)
    assert "conv_net" in first.record() and "conv_net" not in second.record()
    with pytest.raises(UsageError, match="-conv_net is unknown"):
        parse(cifar10, "r", "-conv_net", "True")


def test_unique_prefixes_stay_unique_beside_our_own_options() -> None:
    """`-n_e 3` of somebody's shell script."""
    options = parse(mnist, "r", "-n_e", 3, "-b", 8, "-use_b", "TRUE", "-xi_s", 0.5, "-conv", "True")
    assert (options.epochs, options.batch_size, options.use_backprop) == (3, 8, True)
    assert options.xi_std == 0.5 and options.conv_net


def test_the_correct_spelling_of_perturbation_is_taken_too() -> None:
    """An interface that keeps its author's slip, and nobody can type."""
    words = ["r", "--use-node-perturbation", "True", "--sequential-perturbation=True"]
    options = parse(mnist, *words)
    assert options.use_node_pertubation and options.sequential_pertubation


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["-use_backprop", "yes"], "option -use_backprop (=yes) must be True or False"),
        (["-validation", "1"], "option -validation (=1) must be True or False"),
        (["-sequential_pertubation", "True"], "goes with -use_node_pertubation"),
        (["-sequential_pertubation", "True", "-use_node_pertubation", "True", "-use_backprop",
          "True"], "not with -use_backprop"),
        (["-momentum", "1.5"], "-momentum (=1.5) must be between 0 and 1"),
        (["-n_hidden_layers", "-1"], "-n_hidden_layers (=-1)"),
        (["-p_baseline", "0"], "-p_baseline"),
        (["-xi_std", "0"], "-xi_std (=0) must be > 0"),
        (["-hidden_lrr", "1"], "did you mean -hidden_lr"),
        (["--precision", "bfloat16"], "--precision (=bfloat16)"),
        (["-batch_size", "100"], "-batch_size (=100) must be at most 64"),
        (["--revision", "2019"], "--revision"),
        (["-weight_f", "1"], "ambiguous"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_that_names_it(words: Any, part: str, tmp_path: Path) -> None:
    """The original's silent False for "yes", its attribute errors (burstprop, D13, D17)."""
    with pytest.raises(UsageError) as caught:
        start(mnist, tmp_path / "r", *QUICK, *words)
    assert part in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_a_missing_directory_is_said_so(tmp_path: Path) -> None:
    """Results in a place that nobody named."""
    with pytest.raises(UsageError, match="argument DIRECTORY is missing"):
        start(mnist, *QUICK)


def test_what_one_option_forces_and_what_has_no_effect(tmp_path, capsys) -> None:
    """Backprop with recurrent weights; options that are not read, silently (burstprop, D17)."""
    words = ["-use_backprop", "True", "-use_node_pertubation", "True", "-hidden_lr", 3,
             "-p_baseline", 0.5]  # fmt: skip
    options = parse(mnist, "r", *words)
    assert options.rule == "backprop" and not options.use_node_pertubation
    assert not options.recurrent_input and not options.weight_fa_learning
    assert options.ineffective() == ["hidden_lr", "p_baseline", "use_node_pertubation"]
    start(mnist, tmp_path / "r", *QUICK, "--epochs", 1, *words)
    noted = capsys.readouterr().err
    for name in options.ineffective():
        assert f"note: -{name} has no effect here" in noted
    options = parse(mnist, "r", "-recurrent_input", "False", "-hidden_lr", 3)
    assert options.rule == "feedback_alignment" and not options.weight_r_learning
    assert options.ineffective() == []


def test_a_recipe_gives_way_to_what_is_typed() -> None:
    """A preset that overrides its user."""
    options = parse(mnist, "r", "--recipe", "demo", "-momentum", 0.3)
    assert (options.epochs, options.n_hidden_layers, options.hidden_lr) == (10, 1, 1.0)
    assert options.momentum == 0.3 and options.validation and options.weight_fa_learning
    fig5 = parse(mnist, "r", "--recipe", "fig5")
    assert fig5.epochs == 15 and fig5.weight_fa_learning and fig5.switches.delta_angles == "epoch"


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A run of burstprop."""
    out = tmp_path_factory.mktemp("burstprop") / "Demo"
    start(mnist, out, *QUICK, "-n_hidden_layers", 1, "-weight_fa_learning", "True", "-validation",
          "True", "-info", "a note")  # fmt: skip
    return out


def test_a_results_directory_holds_every_file_that_users_parse(results: Path) -> None:
    """(burstprop, 7): params.txt, two networks, the sources, events."""
    names = {path.name for path in results.iterdir()}
    assert {"params.txt", "initial_model.pth", "model.pth", "train_mnist.py", "networks.py",
            "layers.py", "config.json", "metrics.jsonl", "summary.json"} <= names  # fmt: skip
    lines = dict(line.split(": ", 1) for line in (results / "params.txt").read_text().splitlines())
    assert lines["lr"] == "[0.1, 0.01]" and lines["info"] == "a note"
    assert lines["weight_fa_std"] == "1.0" and "Timestamp" in lines
    assert "hidden_lr" not in lines and "output_lr" not in lines
    first, last = (torch.load(results / f"{n}.pth", weights_only=True)
                   for n in ("initial_model", "model"))  # fmt: skip
    assert first["fc2.weight"].shape == first["fc2.weight_fa"].shape == (10, 500)
    for name in ("fc1.weight", "fc1.weight_fa", "fc2.weight_fa", "fc1.weight_r"):
        assert not torch.equal(first[name], last[name])
    # The first layer's Y, which no step needs, is where learning has brought it.
    gap = first["fc1.weight"] - first["fc1.weight_fa"]
    torch.testing.assert_close(last["fc1.weight"] - last["fc1.weight_fa"], gap, atol=1e-4, rtol=0)


def test_tensorboard_has_the_originals_tags(results: Path) -> None:
    """Scripts that read Test_Error, from before training on."""
    tags = tensorboard(results)
    for tag in ("Test_Error", "Test_Loss", "weight_angle/0", "delta_angle/0"):
        assert [step for step, _ in tags[tag]] == [0, 1, 2], tag
    for tag in ("Train_Error", "Train_Loss"):
        assert [step for step, _ in tags[tag]] == [1, 2], tag
    lines = metrics(results)
    assert tags["Test_Error"][2][1] == pytest.approx(100 - lines[2]["test_accuracy"], rel=1e-5)
    assert "weight_angle/1" not in tags


def test_summary_names_the_rule(results: Path) -> None:
    """Reports that cannot tell burstprop from its baselines."""
    summary = json.loads((results / "summary.json").read_text())
    assert summary["rule"] == "burstprop" and summary["name"] == "digits_fc1_burstprop"


@pytest.mark.parametrize(
    ("command", "words", "net", "rule"),
    [
        (mnist, ["-use_backprop", "True"], "fc3", "backprop"),
        (mnist, ["-use_backprop", "True", "--matched", "-conv_net", "True"], "conv",
         "backprop_matched"),
        (mnist, ["-use_node_pertubation", "True", "-n_hidden_layers", "0"], "fc0",
         "node_perturbation"),
        (mnist, ["-use_node_pertubation", "True", "-n_hidden_layers", "1", "--compat", "original",
                 "-sequential_pertubation", "True"], "fc1", "node_perturbation"),
        (mnist, ["--revision", "2020", "--delta-angles", "off"], "fc3", "feedback_alignment"),
        (cifar10, ["--limit-train", "33", "-validation", "True", "--no-clean-hold-out"], "conv",
         "burstprop"),
    ],
)  # fmt: skip
def test_every_rule_runs(command: Any, words: Any, net: str, rule: str, tmp_path: Path) -> None:
    """A branch of the program that nobody has entered."""
    start(command, tmp_path / "r", *QUICK, *words, "--epochs", 1, "--audit")
    summary = json.loads((tmp_path / "r/summary.json").read_text())
    assert (summary["status"], summary["rule"]) == ("finished", rule)
    assert summary["name"] == f"digits_{net}_{rule}"
    lines = metrics(tmp_path / "r")
    last = [line for line in lines if line["kind"] == "epoch"][-1]
    bursting = rule in ("burstprop", "feedback_alignment")
    assert any(key.startswith("weight_angle") for key in last) == bursting
    expected = bursting and "off" not in words
    assert any(key.startswith("delta_angle") for key in last) == expected


def test_learning_digits(tmp_path: Path) -> None:
    """A sign that is wrong only in the whole."""
    words = ["--data", "digits", "--quiet", "--threads", "1", "-n_hidden_layers", 1]
    for name, more in {"learned": ["-weight_fa_learning", "True"], "fixed": []}.items():
        start(mnist, tmp_path / name, *words, *more, "-hidden_lr", 0.1, "-output_lr", 0.003,
              "--epochs", 8)  # fmt: skip
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["test_accuracy"] > 85, name


@pytest.mark.parametrize("script", ["train_mnist", "train_cifar10"])
def test_help_needs_no_torch(script: str) -> None:
    """Seconds of imports before a usage error."""
    code = ("import sys; sys.modules['torch'] = None\n"
            f"from burstprop.{script} import main\nmain(['--help'])")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "-weight_fa_std" in done.stdout, done.stderr


def test_a_results_directory_its_file_and_its_export_are_one_network(results, tmp_path, capsys):
    """Names that the evaluation would not find; weights that are lost on the way."""
    final = json.loads((results / "metrics.jsonl").read_text().splitlines()[-1])
    accuracies = []
    for words in (
        [results, "--export", tmp_path / "m.safetensors"],
        [results / "model.pth", "--data", "digits"],
        [tmp_path / "m.safetensors"],
    ):
        start(evaluate, *words, "--limit-test", 100)
        printed = capsys.readouterr().out.splitlines()
        accuracies.append(printed[-1])
        angle = next(line for line in printed if "in fc2" in line)
        assert f"{final['weight_angle/0']:.2f} degrees" in angle
    assert len(set(accuracies)) == 1 and "test accuracy" in accuracies[0]


def test_a_file_that_is_no_network_is_said_so(tmp_path: Path) -> None:
    """A traceback, or a pickle that is executed."""
    torch.save({"weights": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save({"fc1.weight": torch.zeros(2, 3)}, tmp_path / "shape.pth")
    torch.save({"fc1.weight": print}, tmp_path / "code.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "shape.pth").read_bytes()[:100])
    for name, part in (
        ("other", "it has no fc1.weight"),
        ("shape", "fc1.weight is (2, 3)"),
        ("code", "not a whole checkpoint"),
        ("cut", "not a whole checkpoint"),
        ("none", "there is no such file"),
    ):
        with pytest.raises(UserError) as caught:
            start(evaluate, tmp_path / f"{name}.pth", "--data", "digits")
        assert part in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.data
def test_the_stored_network_reaches_what_its_header_says(data_root, capsys) -> None:
    """Weights whose accuracy nobody has measured since."""
    from safetensors import safe_open

    with safe_open(STORED, "pt") as tensors:
        about = tensors.metadata()
    start(evaluate, "--data-dir", data_root, "--no-download")
    accuracy = float(capsys.readouterr().out.split()[-1])
    assert accuracy == pytest.approx(float(about["test_accuracy"]), abs=0.02)
    assert STORED.stat().st_size < 3_000_000


def test_fig5_draws_what_runs_hold(results: Path, tmp_path: Path) -> None:
    """A figure of nothing where a run measured no angles."""
    start(fig5, results, "--out", tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000
    start(mnist, tmp_path / "r", *QUICK, "-n_hidden_layers", 1, "-use_backprop", "True")
    with pytest.raises(UserError, match="no weight angles"):
        start(fig5, tmp_path / "r", "--out", tmp_path / "g.png")
