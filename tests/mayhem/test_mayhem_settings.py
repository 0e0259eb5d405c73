"""Settings come from options and variables; the option wins, and a bad value is one clear error."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest

from harness.mayhem.errors import SettingsError
from harness.mayhem.settings import Settings, add_options, settings_from


def parsed(*arguments, **environment):
    parser = ArgumentParser()
    add_options(parser)
    return settings_from(parser.parse_args(arguments), environment)


def test_nothing_said_gives_the_defaults():
    """Without options and variables, the defaults hold; foreign variables are ignored."""
    assert parsed(HOME="x", MAYHEM="y") == Settings()


def test_every_setting_has_an_option_and_a_variable():
    """All settings can be set either way, and both ways give the same."""
    expected = Settings(
        db=Path("x.db"),
        memory=True,
        events=7,
        rate_per_s=2.5,
        hosts=3,
        concurrency=4,
        lease_s=0.5,
        max_deliveries=6,
        drain_s=1.5,
        seed=8,
        debug=True,
    )
    options = (
        "--db x.db --memory --events 7 --rate 2.5 --hosts 3 --concurrency 4 --lease-s 0.5 "
        "--max-deliveries 6 --drain-s 1.5 --seed 8 --debug"
    )
    variables = {
        "MAYHEM_DB": "x.db",
        "MAYHEM_MEMORY": "1",
        "MAYHEM_EVENTS": "7",
        "MAYHEM_RATE": "2.5",
        "MAYHEM_HOSTS": "3",
        "MAYHEM_CONCURRENCY": "4",
        "MAYHEM_LEASE_S": "0.5",
        "MAYHEM_MAX_DELIVERIES": "6",
        "MAYHEM_DRAIN_S": "1.5",
        "MAYHEM_SEED": "8",
        "MAYHEM_DEBUG": "true",
    }

    assert parsed(*options.split()) == expected
    assert parsed(**variables) == expected


def test_option_wins_over_variable():
    """What is typed is meant."""
    assert parsed("--hosts", "3", MAYHEM_HOSTS="4").hosts == 3


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("hosts", "0", "a whole number >= 1"),
        ("hosts", "-1", "a whole number >= 1"),
        ("events", "1.5", "a whole number >= 0"),
        ("rate", "0", "a finite number > 0"),
        ("rate", "inf", "a finite number > 0"),
        ("lease-s", "soon", "a finite number > 0"),
        ("db", "", "a path"),
    ],
)
def test_bad_value_names_its_source(name, value, expected):
    """The message says where the value came from, what was expected and what came."""
    with pytest.raises(SettingsError) as from_option:
        parsed(f"--{name}={value}")
    variable = f"MAYHEM_{name.replace('-', '_').upper()}"
    with pytest.raises(SettingsError) as from_variable:
        parsed(**{variable: value})

    assert str(from_option.value) == f"--{name} must be {expected}, got {value!r}"
    assert str(from_variable.value) == f"{variable} must be {expected}, got {value!r}"


def test_flag_in_a_variable_is_yes_or_no():
    """A variable can also say no, and cannot say perhaps."""
    assert parsed(MAYHEM_DEBUG="0").debug is False
    with pytest.raises(SettingsError, match="MAYHEM_DEBUG must be 1 or 0, got 'perhaps'"):
        parsed(MAYHEM_DEBUG="perhaps")
