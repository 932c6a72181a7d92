"""Folders of images as they lie on people's disks: hidden names, links, loops."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data.image_folder import ImageFolder, one_half
from common.errors import UserError


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Nine training images of three classes, three validation images."""
    for wnid in ("n1", "n2", "n3"):
        for name in ("a", "b", "c"):
            picture(tmp_path / "data/train" / wnid / f"{name}.png")
        picture(tmp_path / "data/val" / wnid / "v.png")
    return tmp_path / "data"


def names(root: Path, half: str = "train") -> list[str]:
    paths = getattr(ImageFolder(root), half).paths
    return [str(Path(path).relative_to(root / half)) for path in paths]


PLAIN = [f"{wnid}/{name}.png" for wnid in ("n1", "n2", "n3") for name in "abc"]


def test_names_that_begin_with_a_dot_are_never_images(root: Path):
    """macOS leaves `._a.png` beside `a.png`, and a notebook its checkpoints: neither decodes, or
    worse, one does and counts twice."""
    (root / "train/n1/._a.png").write_bytes(b"\0\5\x16\7")
    picture(root / "train/n2/.ipynb_checkpoints/a-checkpoint.png")
    picture(root / "train/.Trash/x.png")
    picture(root / "val/n3/deep/.hidden.png")
    folder = ImageFolder(root)
    assert names(root) == PLAIN and folder.classes == ("n1", "n2", "n3") and len(folder.val) == 3
    assert len(one_half(root / "train")[0]) == 9


def test_a_class_of_hidden_names_alone_is_empty(root: Path):
    """Their number must not hide that no image is there."""
    for path in (root / "val/n2").iterdir():
        path.rename(path.with_name(f".{path.name}"))
    with pytest.raises(UserError, match="n2: holds no image"):
        ImageFolder(root)


LOOPS = {
    "to its class": ("n1/again", "."),
    "to all classes": ("n1/up", ".."),
    "to the root": ("n2/root", "../.."),
    "to itself": ("n3/self", "self"),
    "between classes' roots": ("n3/abs", None),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_of_links_adds_no_image(root: Path, loop: str):
    """Followed until the system refuses, nine images are 246, most of them of a wrong class."""
    link, target = LOOPS[loop]
    (root / "train" / link).symlink_to(root / "train" if target is None else target)
    assert names(root) == PLAIN


def test_each_link_is_followed_once(root: Path, tmp_path: Path):
    """Sets are put together from links: those to other places count, each place once a class."""
    picture(tmp_path / "elsewhere/z.png")
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "elsewhere")
    (root / "train/n2/more").symlink_to(tmp_path / "elsewhere")
    (root / "train/n2/most").symlink_to(tmp_path / "elsewhere")
    (root / "train/n3/one.png").symlink_to(tmp_path / "elsewhere/z.png")
    (tmp_path / "n4").mkdir()
    picture(tmp_path / "n4/q.png")
    (root / "train/n4").symlink_to(tmp_path / "n4")
    (root / "val/n4").symlink_to(tmp_path / "n4")
    files = names(root)
    assert files == sorted([*PLAIN, "n2/more/z.png", "n3/one.png", "n4/q.png"])
    assert names(root, "val")[-1] == "n4/q.png"


def test_two_classes_that_link_to_each_other_end(root: Path):
    """Each is listed once in the other, and not for ever."""
    (root / "train/n1/x").symlink_to(root / "train/n2")
    (root / "train/n2/y").symlink_to(root / "train/n1")
    files = names(root)
    assert len(files) == 15 and sum(name.startswith("n1/") for name in files) == 6
