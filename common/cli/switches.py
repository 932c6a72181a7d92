"""Defects of the originals as named switches: one frozen dataclass a paper.

    @dataclass(frozen=True)
    class Fidelity:
        transposed_e: bool = switch(
            corrected=False,
            original=True,
            defect="D1",
            effect="E2 and E3 are updated with G_W, not with its transpose",
            evidence="unequal widths raise a shape error",
        )

`Fidelity()` is the corrected preset.  A field `switches: Fidelity = switch_options(Fidelity)` of a
command's options gives it --compat and one option a switch, and is what the two make together.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from common.cli.options import SWITCHES
from common.cli.params import Choice, Option, typed
from common.errors import unknown

PRESETS = ("corrected", "original")
T = TypeVar("T")


def switch(
    *,
    corrected: Any,
    original: Any,
    defect: str,
    effect: str,
    evidence: str,
    help: str = "",
    choices: Sequence[str] | None = None,
) -> Any:
    """A dataclass field with its value in both presets.

    defect: its number in docs/papers/PAPER.md, section 9.  effect, evidence: a phrase each,
    for the README's table.  help: for --help, default `effect`.  choices: values of a str switch.
    """
    words = {"defect": defect, "effect": effect, "evidence": evidence, "help": help or effect}
    values = {"corrected": corrected, "original": original, "choices": choices}
    return dataclasses.field(default=corrected, metadata={**words, **values})


def _shown(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _sentence(phrase: str) -> str:
    """With a capital, where the first word is one and not a name: resnet18_not stays as it is."""
    first = phrase.split()[0].strip(":,").replace("-", "")
    plain = first == "a" or (len(first) > 1 and first.isalpha())
    return (phrase[:1].upper() + phrase[1:] if plain else phrase).rstrip(".")


def _paper(cls: type) -> str:
    """The paper whose switches these are; also where its script is the program that runs."""
    module = sys.modules[cls.__module__]
    package = module.__package__ or Path(getattr(module, "__file__", None) or ".").parent.name
    return package.split(".")[0]


def switch_options(switches: type[T]) -> Any:
    """A field of an options' dataclass: the switches, with --compat and an option for each."""
    return dataclasses.field(default_factory=switches, metadata={SWITCHES: switches})


def switch_parameters(switches: type) -> list[Option]:
    """--compat and the option of every switch."""
    paper = _paper(switches)
    options = [
        Option(
            ["--compat"],
            type=Choice(*PRESETS),
            default="corrected",
            original=False,
            group="Switches",
            help="Preset of the switches: what the paper means, or what its program does "
            f"(docs/papers/{paper}.md, section 9).",
        )
    ]
    for field in dataclasses.fields(switches):
        meta, dashed = field.metadata, field.name.replace("_", "-")
        both = ", ".join(f"{preset}: {_shown(meta[preset])}" for preset in PRESETS)
        attrs: dict[str, Any] = {
            "default": None,
            "help": f"{_sentence(meta['help'])} ({paper}, {meta['defect']}); {both}.",
        }
        spelling = f"--{dashed}"
        if isinstance(meta["corrected"], bool):
            spelling += f"/--no-{dashed}"
        else:
            attrs |= typed({"type": meta["choices"] or type(meta["original"])})
        options.append(Option([spelling, field.name], original=False, group="Switches", **attrs))
    return options


def preset(cls: type[T], compat: str, **overrides: Any) -> T:
    """The switches of `compat` ("corrected" or "original"); an override of None is none.

    ArgumentError for an unknown preset, switch, or value of a switch with choices.
    """
    if compat not in PRESETS:
        raise unknown("compat", compat, PRESETS)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values = {name: field.metadata[compat] for name, field in fields.items()}
    for name, value in overrides.items():
        if name not in fields:
            raise unknown("switch", name, fields)
        choices = fields[name].metadata["choices"]
        if value is not None and choices and value not in choices:
            raise unknown(name, value, choices)
        if value is not None:
            values[name] = value
    return cls(**values)


def carry_over(cls: type, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The switches that a recorded run had set against its own preset."""
    ours = dataclasses.asdict(preset(cls, recorded.get("compat", "corrected")))
    return {name: recorded[name] for name in ours if recorded.get(name, ours[name]) != ours[name]}


def table(cls: type) -> str:
    """The README's markdown table of the switches."""
    rows = [["defect", "switch", "effect", "evidence", "original", "corrected"], ["---"] * 6]
    for field in dataclasses.fields(cls):
        meta = field.metadata
        presets = [_shown(meta["original"]), _shown(meta["corrected"])]
        option_name = f"`--{field.name.replace('_', '-')}`"
        rows.append([meta["defect"], option_name, meta["effect"], meta["evidence"], *presets])
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows
    )
