"""What the wheel holds: `common`, and every paper, which is a folder with a paper.toml."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Packages(BuildHookInterface):
    """Adds the packages to a wheel. An editable installation needs none: it is this folder."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if self.target_name == "wheel" and version != "editable":
            papers = sorted(path.parent for path in root.glob("*/paper.toml"))
            for package in (root / "common", *papers):
                build_data["force_include"] |= {
                    str(path): str(path.relative_to(root)) for path in contents(package)
                }


def contents(package: Path) -> list[Path]:
    """The package's files, without compiled ones and runs of ours, which readers of the repository
    look at."""
    beside = {"__pycache__", "results"}
    files = (path for path in sorted(package.rglob("*")) if path.is_file())
    return [path for path in files if not beside & set(path.relative_to(package).parts)]
