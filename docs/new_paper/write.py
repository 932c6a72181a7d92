"""Writes the skeleton of a paper: `python docs/new_paper/write.py NAME`, or `nox -s new-paper`.

The skeleton is what lies in `files/`, every file in its place below the repository's root, with
`newpaper` in the place of the name. What else a paper needs is two lines in pyproject.toml (its
extra, which `all` brings too) and its name in docs/architecture.md and README.md.
"""

import keyword
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = Path(__file__).with_name("files")
PLACEHOLDER = "newpaper"
EXTRA = '{} = ["torch>=2.6", "tensorboard>=2.16"]\n'


def refused(name: str, root: Path) -> str | None:
    """What is wrong with the name of a paper; None if nothing is."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z0-9]", name) or keyword.iskeyword(name):
        return "must be a Python package's name: small letters, digits and _"
    if name in sys.stdlib_module_names or name in ("torch", "numpy", "tensorflow", "keras", "jax"):
        return "would hide the module of that name"
    if (root / name).exists():
        return "is there already"
    others = [path.parent.name for path in root.glob("*/paper.toml")]
    if near := [other for other in others if other in name or name in other]:
        return f"holds, or is held by, {near[0]}: tests are chosen by a paper's name in theirs"
    return None


def write(name: str, root: Path = ROOT) -> list[Path]:
    """Write the skeleton below `root`; the files made or changed."""
    made = []
    for source in sorted(path for path in FILES.rglob("*") if path.is_file()):
        if "__pycache__" not in source.parts:
            place = str(source.relative_to(FILES)).replace(PLACEHOLDER, name)
            made.append(root / place)
            made[-1].parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text(encoding="utf-8").replace(PLACEHOLDER, name)
            made[-1].write_text(text, encoding="utf-8")
    return [*made, *entered(name, root)]


def entered(name: str, root: Path) -> list[Path]:
    """Enter the name where papers are listed for a tool or for a reader."""
    extra = name.replace("_", "-")
    changes = {
        "pyproject.toml": [
            (r"(?m)^(all = \[\"creditlab\[[^\]]*)", rf"{EXTRA.format(extra)}\1,{extra}")
        ],
        "docs/architecture.md": [(r"(?m)^(The papers: .*)\.$", rf"\1, `{name}`.")],
        "README.md": [
            (r"(?m)^(\| .*`s3net/`.*) (\| the papers \|)$", rf"\1, `{name}/` \2"),
            (
                r"(\[s3net\]\(docs/papers/s3net\.md\)(?:, \[\w+\]\(docs/papers/\w+\.md\))*)\)",
                rf"\1, [{name}](docs/papers/{name}.md))",
            ),
        ],
    }
    for file, pairs in changes.items():
        text = (root / file).read_text(encoding="utf-8")
        for pattern, new in pairs:
            text, count = re.subn(pattern, new, text, count=1)
            if not count:
                sys.exit(f"error: {file}: nothing there looks like {pattern}; enter {name} by hand")
        (root / file).write_text(text, encoding="utf-8")
    return [root / file for file in changes]


def main(words: list[str]) -> None:
    """Write the paper that the command line names, or say in a line what is wrong with it."""
    if len(words) != 1:
        sys.exit("error: give one NAME, as in nox -s new-paper -- drtp")
    if wrong := refused(words[0], ROOT):
        sys.exit(f"error: NAME (={words[0]}) {wrong}")
    for path in write(words[0]):
        print(path.relative_to(ROOT))
    print(f"Next: {words[0]}/rule.py, and nox -s {words[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
