"""Each test of a rule draws from PyTorch's generator as if it were alone."""

import sys

import pytest


@pytest.fixture(autouse=True)
def seed() -> None:
    """Seed 0, where PyTorch is imported."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
