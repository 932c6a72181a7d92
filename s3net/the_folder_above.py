"""The build of this folder is the whole project's: pip takes paths in a requirements file from
where it was started, so `-e .` must mean the same project here and one folder up."""

import os
from pathlib import Path

from hatchling.build import *  # noqa: F403

os.chdir(Path(__file__).resolve().parents[1])  # hatchling builds the folder that it finds itself in
