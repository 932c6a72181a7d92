# /// script
# requires-python = ">=3.11"
# dependencies = ["nox[uv]"]
# ///
"""creditlab's sessions. `nox -l` lists them; `uv run noxfile.py -s demo` needs not even nox.

Each paper, which is a folder with a paper.toml, has a session with an environment of its own, from
that paper's extra alone: it proves that the paper, and what all share, runs without the others'
frameworks (`--paper`, see tests/conftest.py). `tests` holds everything in one environment; `quick`
needs no framework; `oldest` has the lowest versions that pyproject.toml allows.
Words after `--` go to the command that the session runs: `nox -s tests -- -k golden`.
All versions come from constraints.txt; `CREDITLAB_DATA` names a folder that has data already.
"""

import tempfile
import tomllib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests"]

# Folder -> what its paper.toml says.
PAPERS: dict[str, dict[str, Any]] = {
    path.parent.name: tomllib.loads(path.read_text(encoding="utf-8"))
    for path in sorted(Path(__file__).parent.glob("*/paper.toml"))
}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONWARNINGS": "default"}


def install(session: nox.Session, *extras: str, groups: tuple[str, ...] = ()) -> None:
    """This project with some extras, and dependency groups, at the tested versions."""
    chosen = f"[{','.join(extras)}]" if extras else ""
    names = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), *groups)
    session.install("-c", "constraints.txt", "-e", f".{chosen}", *names)


def pytest(session: nox.Session, *arguments: str) -> None:
    """The tests, in this session's environment."""
    session.run("python", "-m", "pytest", *arguments, *session.posargs, env=ENVIRONMENT)


def smoke(session: nox.Session, *modules: str) -> None:
    """Each script once, on digits, for an epoch on a few images."""
    for module in modules:
        with tempfile.TemporaryDirectory() as folder:
            session.run(
                *("python", "-m", module, "--data", "digits", "--epochs", "1"),
                *("--limit-train", "200", "--quiet", "--out", f"{folder}/run"),
                env=ENVIRONMENT,
            )


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, in one environment with every framework."""
    install(session, "all", groups=("test",))
    # Two processes whatever the machine has: each holds three frameworks, about 3 GB.
    pytest(session, "-n", "2", "--dist", "loadfile", "--durations=25")


# What is tested without a framework, in about a minute on two quiet cores.
QUICK = (
    *("tests/datasets", "tests/reports", "tests/stored", "tests/golden/test_machinery.py"),
    *("tests/runs/test_position.py", "tests/runs/test_running_metrics.py"),
    "tests/cli/test_switches.py",
    *(f"tests/architecture/test_{name}.py" for name in ("declared", "errors", "sizes", "tree")),
)


@nox.session
def quick(session: nox.Session) -> None:
    """Data, reports, a run's bookkeeping and the house's rules, where no framework is installed."""
    install(session, groups=("test",))
    pytest(session, "-n", "2", "--dist", "loadfile", *QUICK)


@nox.session
def avx2(session: nox.Session) -> None:
    """The torch papers' runs, on the path of processors that have AVX2 and no AVX-512."""
    install(session, "all", groups=("test",))
    session.env.update(ONEDNN_MAX_CPU_ISA="AVX2", ATEN_CPU_CAPABILITY="avx2")
    chosen = ("-k", "asap or burstprop or s3net")
    pytest(session, "-n", "2", "--dist", "loadfile", *chosen, "tests/runs")


@nox.session
def asap(session: nox.Session) -> None:
    """ASAP: its tests and its scripts, in an environment without TensorFlow."""
    install(session, "asap", groups=("test",))
    pytest(session, "--paper=asap")
    smoke(session, "asap.train")
    session.run("python", "-m", "asap.eval", "--data", "digits", env=ENVIRONMENT)


@nox.session
def brainprop(session: nox.Session) -> None:
    """BrainProp: its tests and its scripts, in an environment without PyTorch."""
    install(session, "brainprop", groups=("test",))
    pytest(session, "--paper=brainprop")
    smoke(session, "brainprop.main", "brainprop.gain_modulation")
    session.run("python", "-m", "brainprop.evaluate", "--data", "digits", env=ENVIRONMENT)


LRA_E_TORCH = ("lra_e.mnist.mnist_torch", "lra_e.fmnist.fmnist_torch")
LRA_E_TF = tuple(
    f"lra_e.{folder}.{folder}{suffix}"
    for folder in ("mnist", "fmnist")
    for suffix in ("", "_newTF")
)


@nox.session
def lra_e(session: nox.Session) -> None:
    """LRA-E: its tests and its six scripts, PyTorch and TensorFlow in one environment."""
    install(session, "lra-e", groups=("test",))
    pytest(session, "--paper=lra_e")
    smoke(session, *LRA_E_TORCH, *LRA_E_TF)


@nox.session
def lra_e_torch(session: nox.Session) -> None:
    """LRA-E's PyTorch scripts in an environment without TensorFlow."""
    install(session, "lra-e-torch", groups=("test",))
    pytest(session, "--paper=lra_e")
    smoke(session, *LRA_E_TORCH)


@nox.session
def lra_e_tf(session: nox.Session) -> None:
    """LRA-E's TensorFlow scripts in an environment without PyTorch."""
    install(session, "lra-e-tf", groups=("test",))
    pytest(session, "--paper=lra_e")
    smoke(session, *LRA_E_TF)


TINY = (
    "S3Net",
    "MobileNetV2",
    "EfficientNet",
    "GhostNet",
    "SEResNet",
    "OctResNet",
    "LambdaNet",
    "ScaleNet",
    "RandomlyWired",
)


@nox.session
def s3net(session: nox.Session) -> None:
    """S3Net: its tests and its scripts, PyTorch and JAX (which brings TensorFlow along)."""
    install(session, "s3net", groups=("test",))
    pytest(session, "--paper=s3net")
    with tempfile.TemporaryDirectory() as folder:
        digits = ("--data", "digits", "--model", "s3net_small", "--image-size", "32", "--quiet")
        train = ("s3net.tinyimagenet.train", *digits, "--epochs", "1", "--limit-train", "200")
        session.run("python", "-m", *train, "--out", f"{folder}/run", env=ENVIRONMENT)
    smoke(session, "s3net.cifar100.train_S3Net")
    with tempfile.TemporaryDirectory() as folder:
        digits = ("--data", "digits", "-a", "s3net_small", "--image-size", "32", "-j", "0")
        train = ("s3net.imagenet.train", *digits, "--epochs", "1", "--limit-train", "200", "-b")
        session.run("python", "-m", *train, "50", "--out", f"{folder}/run", env=ENVIRONMENT)
        few = (*digits, "--limit-test", "50", "--resume", f"{folder}/run")
        session.run("python", "-m", "s3net.imagenet.validate_10crop", *few, env=ENVIRONMENT)
    few = ("--data", "digits", "--image-size", "32", "--epochs", "1", "--limit-train", "32")
    few += ("--limit-test", "32", "--batch-size", "16", "--no-epoch-models", "--quiet")
    for name in TINY:
        with tempfile.TemporaryDirectory() as folder:
            program = f"s3net.tinyimagenet.Tiny_{name}"
            session.run("python", "-m", program, *few, "--out", f"{folder}/run", env=ENVIRONMENT)
    with tempfile.TemporaryDirectory() as folder:
        session.run(
            "python", "-m", "s3net.wiring", "--out", f"{folder}/wiring.png", env=ENVIRONMENT
        )
        for module in ("compare", "universality"):
            script = f"s3net.expressibility.{module}"
            session.run("python", "-m", script, "--out", f"{folder}/{module}", env=ENVIRONMENT)


@nox.session
def burstprop(session: nox.Session) -> None:
    """Burstprop: its tests, its notebook and its scripts, in an environment without TensorFlow."""
    install(session, "burstprop", groups=("test",))
    pytest(session, "--paper=burstprop")
    smoke(session, *(f"burstprop.train_{data}" for data in ("mnist", "cifar10", "imagenet")))
    session.run("python", "-m", "burstprop.evaluate", "--data", "digits", env=ENVIRONMENT)


def paper_session(name: str) -> None:
    """The session of a paper that has no more to try than its tests and its first command."""

    def session(session: nox.Session) -> None:
        install(session, name.replace("_", "-"), groups=("test",))
        pytest(session, f"--paper={name}")
        with tempfile.TemporaryDirectory() as folder:
            first_command(session, name, folder)

    session.__doc__ = f"{name}: its tests and its first command, in an environment of its own."
    nox.session(session, name=name)


def first_command(session: nox.Session, paper: str, folder: str) -> None:
    """The paper's first run of the demo, cut to an epoch of a few images, into `folder`."""
    first = PAPERS[paper]["demo"][0]
    few = ("--epochs", "1", "--limit-train", "200", "--quiet", "--out", f"{folder}/run")
    session.run("python", "-m", first["module"], *first["args"], *few, env=ENVIRONMENT)
    if not Path(folder, "run", "summary.json").is_file():
        session.error(f"{first['module']} left no summary.json")


for _name in PAPERS.keys() - globals().keys():
    paper_session(_name)


@nox.session(default=False, reuse_venv=False)
@nox.parametrize("paper", [nox.param(paper, id=paper) for paper in PAPERS])
def wheel(session: nox.Session, paper: str) -> None:
    """The built wheel with one paper's extra, away from this folder: `nox -s "wheel(asap)"`."""
    with tempfile.TemporaryDirectory() as folder:
        session.install("-c", "constraints.txt", "hatchling")
        session.run("hatchling", "build", "-t", "wheel", "-d", folder)
        (built,) = Path(folder).glob("*.whl")
        held = ZipFile(built).namelist()
        stray = [name for name in held if "/results/" in name]
        if stray:
            session.error(f"the wheel holds results: {stray[:3]}")
        if missing := [name for name in PAPERS if f"{name}/paper.toml" not in held]:
            session.error(f"the wheel lacks papers: {missing}")
        extra = paper.replace("_", "-")
        session.install("-c", "constraints.txt", f"creditlab[{extra}] @ {built.as_uri()}")
        session.chdir(folder)
        first_command(session, paper, folder)


@nox.session(default=False, reuse_venv=False)
def oldest(session: nox.Session) -> None:
    """The quick tests with the lowest versions that pyproject.toml allows."""
    names = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), "test")
    session.install("--resolution", "lowest-direct", "-e", ".", *names)
    pytest(session, *QUICK)


@nox.session(name="new-paper", default=False)
def new_paper(session: nox.Session) -> None:
    """A skeleton of a paper, which learns and passes its tests: `nox -s new-paper -- NAME`."""
    install(session, groups=("lint",))
    session.run("python", "docs/new_paper/write.py", *session.posargs)
    session.run("ruff", "check", "--fix", "--quiet", ".")
    session.run("ruff", "format", "--quiet", ".")
    session.run("python", "-m", "common.targets", "update")


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: format and rules."""
    install_groups(session, "lint")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy over the packages and the tests."""
    install(session, "all", groups=("types", "test"))
    whole = ("common", *PAPERS, "benchmarks", "tests", "hatch_build.py", "docs/new_paper/write.py")
    session.run("mypy", *(session.posargs or whole))


@nox.session
def demo(session: nox.Session) -> None:
    """Every paper's rule beside backprop on digits, and one page about it."""
    install(session, "all")
    session.run("python", "-m", "common.demo", *session.posargs, env=ENVIRONMENT)


@nox.session(default=False)
def mutations(session: nox.Session) -> None:
    """Plant one-line defects in the rules and see that the tests notice every one."""
    install(session, "all", groups=("test",))
    session.run("python", "-m", "tests.mutations", *session.posargs, env=ENVIRONMENT)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """What a training step costs beside backprop: `nox -s bench -- lra_e`."""
    install(session, "all")
    session.run("python", "-m", "benchmarks.steps", *session.posargs)


@nox.session(default=False)
def reproduce(session: nox.Session) -> None:
    """Run a row of targets.csv: `nox -s reproduce -- lra_e mnist_torch_lra_e --seeds "1 2 3"`."""
    install(session, "all")
    session.run("python", "-m", "common.targets", "reproduce", *session.posargs)


@nox.session(default=False)
def tables(session: nox.Session) -> None:
    """Recompute targets.csv from the runs on disk, and the READMEs' tables from it."""
    install(session, "all")
    session.run("python", "-m", "common.targets", *(session.posargs or ("update",)))


def install_groups(session: nox.Session, *groups: str) -> None:
    """Dependency groups alone, without the project."""
    names = nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), *groups)
    session.install("-c", "constraints.txt", *names)


if __name__ == "__main__":
    nox.main()
