"""Defects as named switches: presets, options, the README's table."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from common.cli import Options, command
from common.cli.switches import preset, switch, switch_options, table
from common.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Fidelity:
    transposed_e: bool = switch(
        corrected=False, original=True, defect="1", effect="E2, E3 get G_W", evidence="widths|run"
    )
    keep_optimiser: bool = switch(
        corrected=True, original=False, defect="2", effect="no moments", evidence="trace"
    )
    first_last: bool = switch(
        corrected=True, original=True, defect="3", effect="both keep it", evidence="numbers"
    )
    error_form: str = switch(
        corrected="exact",
        original="difference",
        defect="12",
        effect="cancellation",
        evidence="float32 against float64",
        choices=("exact", "difference"),
    )


@dataclass(frozen=True, kw_only=True)
class ToyOptions(Options):
    """What `toy` takes."""

    switches: Fidelity = switch_options(Fidelity)


@command(ToyOptions, paper="p", name="toy")
def main(options: ToyOptions) -> Options:
    """A script with nothing but switches."""
    return options


def run(line: str) -> Any:
    return main.main(line.split(), standalone_mode=False)


ORIGINAL = Fidelity(transposed_e=True, keep_optimiser=False, error_form="difference")


def test_compat_presets_every_switch() -> None:
    """A switch forgotten by a preset leaves the original half corrected."""
    assert run("").switches == preset(Fidelity, "corrected") == Fidelity()
    assert run("--compat original").switches == preset(Fidelity, "original") == ORIGINAL


def test_a_typed_switch_wins_over_the_preset_wherever_it_stands() -> None:
    """The preset, read later, takes back what was typed."""
    expected = dataclasses.replace(ORIGINAL, transposed_e=False, error_form="exact")
    for line in (
        "--no-transposed-e --error-form exact --compat original",
        "--compat original --no-transposed_e --error-form=EXACT",
    ):
        assert run(line).switches == expected
    with pytest.raises(dataclasses.FrozenInstanceError):
        run("").switches.transposed_e = True


def test_the_record_holds_the_preset_and_every_resolved_switch() -> None:
    """A later change of a preset changes the runs that were recorded before."""
    options = run("--compat original --error-form exact")
    resolved = dataclasses.asdict(dataclasses.replace(ORIGINAL, error_form="exact"))
    assert options.record() == {"compat": "original", **resolved}
    assert options.call.typed == {"compat", "error_form"}
    assert options.switches.transposed_e is True


def test_wrong_presets_switches_and_values_are_refused() -> None:
    """A misspelt switch leaves the defect in, or out, unnoticed."""
    with pytest.raises(UsageError, match=r"option --compat \(=orignal\) .* mean original\?"):
        run("--compat orignal")
    with pytest.raises(UsageError, match=r"option --error-form \(=exakt\) .* mean exact\?"):
        run("--error-form exakt")
    with pytest.raises(UsageError, match="must be one of corrected, original"):
        preset(Fidelity, "both")
    with pytest.raises(UsageError, match="did you mean transposed_e"):
        preset(Fidelity, "original", transposed=True)
    with pytest.raises(UsageError, match="exact, difference"):
        preset(Fidelity, "original", error_form="sum")


def test_overrides_of_none_are_none() -> None:
    """An option that was not typed (None) switches a defect off."""
    assert preset(Fidelity, "original", transposed_e=None) == ORIGINAL
    assert preset(Fidelity, "original", transposed_e=False).transposed_e is False


def test_the_table_shows_each_switch_with_both_values() -> None:
    """The README tells the values of the two presets the wrong way round."""
    lines = table(Fidelity).splitlines()
    assert lines[0] == "| defect | switch | effect | evidence | original | corrected |"
    assert lines[2] == "| 1 | `--transposed-e` | E2, E3 get G_W | widths\\|run | on | off |"
    assert lines[5].endswith("| difference | exact |")
    assert len(lines) == 2 + len(dataclasses.fields(Fidelity))
