"""What a network of the paper may be built with, in either framework."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from brainprop.recipes import ARCHITECTURES, DROPOUT, STD
from common.doors.arguments import integer, number
from common.errors import ArgumentError, unknown


class NetworkSettings(NamedTuple):
    """What a network is built from, in either framework."""

    classes: int
    std: float  # of the kernels
    rates: tuple[float, ...]  # of dropout, from the images up
    padding: str  # of the 3 x 3 kernels
    widths: dict[int, int]  # original width -> the one to use


def network_settings(
    architecture: str,
    classes: int,
    std: float | None,
    dropout: Sequence[float] | None,
    padding: str | None,
    widths: Mapping[int, int] | None,
    variance: str,
) -> NetworkSettings:
    """The arguments of `build`, those left out filled in; ArgumentError for one that cannot be."""
    for name, value, allowed in (
        ("architecture", architecture, ARCHITECTURES),
        ("variance", variance, ("unbiased", "biased")),
        ("padding", padding or "same", ("same", "valid")),
    ):
        if value not in allowed:
            message = str(unknown(name, value, allowed))
            raise ArgumentError(name, message.removeprefix(f"{name} "))
    usual = DROPOUT[architecture]
    given = usual if dropout is None else dropout
    rates = tuple(number("dropout", p, least=0, below=1) for p in given)
    if len(rates) != len(usual):
        raise ArgumentError("dropout", f"(={list(rates)}) must be {len(usual)} rates")
    return NetworkSettings(
        integer("classes", classes, least=2),
        number("std", STD[architecture] if std is None else std, least=0),
        rates,
        padding or ("valid" if architecture == "loccon" else "same"),
        {n: integer("widths", width) for n, width in (widths or {}).items()},
    )
