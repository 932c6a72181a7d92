"""Every program of the repository, and the words with which it does its work in a second."""

from dataclasses import dataclass

from tests.architecture.test_arrows import MODULES, ROOT, name_of

TEST = "--data digits --limit-test 5"
FAST = "--data digits --limit-train 20 --limit-test 10 --epochs 1 --quiet --device cpu"


@dataclass(frozen=True)
class Program:
    """words: {out} is a folder that is not there yet, {images} an image folder, {work} the
    case's own folder; None: only what is refused at once is tried, the rest takes minutes.

    server  whose modules it needs: torch, tensorflow or jax
    run     whether {out} becomes a run directory that --resume takes
    """

    server: str
    words: str | None
    run: bool = False


def _train(words: str, server: str = "torch") -> Program:
    return Program(server, f"{FAST} --out {{out}} {words}", run=True)


_LRA = "--layers 784,8,10 --batch-size 5 --threads 1"
_TINY = "--model {} --image-size 32 --batch-size 10 --no-epoch-models"
_BURST = "-batch_size 10 -n_hidden_layers 1"
_NARROW = "--image-size 193 --width 0.02 -batch_size 10 --workers 0"
_HEAVY = Program("torch", None)
_BENCH = {"steps", "burstprop_images", "batches", "brainprop_loccon"}

PROGRAMS = {
    "asap.train": _train("--batch-size 10 --width 0.05"),
    "asap.eval": Program("torch", f"{TEST} --device cpu --model_path {{weights}}"),
    "asap.alignment": Program("torch", "{runs} --out {work}/a.png"),
    "brainprop.main": _train("MNIST dense BrainProp --width 0.02 --batch-size 10", "tensorflow"),
    "brainprop.train": _train("MNIST dense EBP --width 0.02 --batch-size 10", "tensorflow"),
    "brainprop.gain_modulation": _train("--hidden 4,4,4 --batch-size 10", "tensorflow"),
    "brainprop.evaluate": Program("tensorflow", "--data digits --limit-test 5 {weights}"),
    "brainprop.eval": Program("tensorflow", "--data digits --limit-test 5 --model-file {weights}"),
    "brainprop.curves": Program("torch", "{runs} --out {work}/figures"),
    "brainprop.tinyimagenet": Program("torch", "{archive} --out {work}/tiny"),
    "burstprop.train_mnist": _train(_BURST),
    "burstprop.train_cifar10": _train("-batch_size 10"),
    "burstprop.train_imagenet": _train(_NARROW),
    "burstprop.evaluate": Program("torch", "--data digits --limit-test 5 --device cpu {weights}"),
    "burstprop.fig5": Program("torch", "{runs} --out {work}/f.png"),
    **{
        f"lra_e.{data}.{data}{kind}": _train(_LRA, "torch" if kind == "_torch" else "tensorflow")
        for data in ("mnist", "fmnist")
        for kind in ("", "_torch", "_newTF")
    },
    "lra_e.evaluate": Program("torch", "--data digits --limit-test 5 {weights}"),
    "lra_e.depth": _HEAVY,
    "s3net.cifar100.train_S3Net": _train("--depth 7 --growth-rate 2 --channels 4 --batch-size 10"),
    "s3net.imagenet.train": _train("-j 0 -a s3net_small --image-size 32 -b 10"),
    "s3net.imagenet.validate_10crop": Program(
        "torch", "{images} -j 0 -a s3net_small --image-size 32 -b 4 --device cpu --quiet"
    ),
    "s3net.imagenet.folder2lmdb": Program("torch", "-d {images}/train -o {work}/t.lmdb --quiet"),
    **{
        f"s3net.tinyimagenet.{name}": _train(_TINY.format(model))
        for name, model in {
            "train": "s3net_small", "Tiny_S3Net": "s3net_small", "Tiny_GhostNet": "ghostnet",
            "Tiny_MobileNetV2": "mobilenet_v2", "Tiny_EfficientNet": "efficientnet_b0",
        }.items()
    },
    "s3net.tinyimagenet.eval": Program(
        "torch", f"{TEST} --image-size 32 --device cpu --model-path {{weights}}"
    ),
    "s3net.interpretability.fullgrad": Program(
        "torch", "--images {images}/val/n01 --limit 1 --image-size 32 --model s3net_small "
        "--device cpu --out {work}/f",
    ),
    "s3net.interpretability.Interpret_fullgradient": Program("torch", None),
    "s3net.interpretability.segmentation_map": Program("torch", None),
    "s3net.interpretability.Plot_segmentation_map": Program("torch", None),
    "s3net.expressibility.compare": Program("torch", "--depths 2,3 --out {work}/c"),
    "s3net.expressibility.universality": Program("torch", "--depths 2,4 --out {work}/u"),
    "s3net.expressibility.empirical": Program("torch", "--seeds 2 --widest 8 --out {work}/e.png"),
    "s3net.wiring": Program("torch", "--out {work}/w.png"),
    "common.report": Program("torch", "{runs} --out {work}/r.html"),
    "common.curves": Program("torch", "{runs} --out {work}/c.png"),
    "common.targets": Program("torch", None),
    "common.demo": Program("torch", None),
}  # fmt: skip
for _path in MODULES:
    _name = name_of(_path)
    if '__name__ == "__main__"' in _path.read_text() and "command(" in _path.read_text():
        PROGRAMS.setdefault(_name, _HEAVY)  # a program of minutes, or a new one

TRAINERS = sorted(name for name, program in PROGRAMS.items() if program.run)
WORKING = sorted(name for name, program in PROGRAMS.items() if program.words is not None)
WEIGHTS = {
    "asap.eval": ROOT / "asap/model.safetensors",
    "brainprop.evaluate": ROOT / "brainprop/model.safetensors",
    "brainprop.eval": ROOT / "brainprop/model.safetensors",
    "burstprop.evaluate": ROOT / "burstprop/model.safetensors",
    "lra_e.evaluate": ROOT / "lra_e/model.safetensors",
    "s3net.tinyimagenet.eval": ROOT / "s3net/weights/s3net_small.safetensors",
}
"""A good file of weights for every program that reads one."""
