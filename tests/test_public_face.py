"""What `harness` offers to programs and test suites, and what having it costs those that do not use it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points, version

import pytest

import harness
from harness import pytest_plugin


def loaded_by(statement: str, *, after: str = "pass") -> set[str]:
    """The modules that a fresh Python loads for *statement*, without those that it needs for *after*."""
    program = f"""
{after}
import json, sys
old = {{*sys.modules}}
{statement}
print(json.dumps([*{{*sys.modules}} - old]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout))


def test_every_public_name_exists() -> None:
    """`__all__` promises nothing that is not there, and `dir` shows it."""
    assert all(getattr(harness, name) is not None for name in harness.__all__)
    assert set(harness.__all__) <= set(dir(harness))
    assert harness.__version__ == version("asyncio-harness")


def test_any_other_name_is_missing() -> None:
    """A misspelt name is an `AttributeError` that names it."""
    with pytest.raises(AttributeError, match="has no attribute 'watch_loops'"):
        _ = harness.watch_loops


def test_importing_the_harness_loads_next_to_nothing() -> None:
    """A program that imports it pays for neither asyncio nor pydantic, nor any room of the harness."""
    assert loaded_by("import harness", after="import __future__") == {"harness"}


def test_the_pytest_plugin_loads_nothing_but_itself() -> None:
    """Every pytest run of an environment with the harness loads the plugin, and no more than that."""
    assert loaded_by("import harness.pytest_plugin", after="import pytest") == {
        "harness",
        "harness.pytest_plugin",
    }


def test_watching_needs_no_model_and_no_command_line() -> None:
    """A service that watches its own loop loads no third-party package with it."""
    foreign = {"click", "jinja2", "opentelemetry", "pydantic", "pytest", "rich"}

    assert loaded_by("import harness; harness.watch_loop") & foreign == set()


def test_assertions_about_the_loop_need_no_service() -> None:
    """A suite that forbids blocks loads neither the chaos service nor a third-party package."""
    loaded = loaded_by(
        "import harness.testing; [getattr(harness.testing, n) for n in harness.testing.__all__]"
    )

    assert {"harness.mayhem", "opentelemetry", "pydantic", "pytest"} & loaded == set()


def test_checks_for_brokers_need_only_what_a_message_is() -> None:
    """The author of a broker loads no other broker with the checks, and nothing that must be installed."""
    loaded = loaded_by("import harness.testing.broker")

    assert {name for name in loaded if name.startswith("harness.mayhem.")} == {
        "harness.mayhem.errors",
        "harness.mayhem.message",
    }
    assert {"opentelemetry", "nats", "redis", "pytest"} & loaded == set()


def test_pytest_finds_the_plugin_by_itself() -> None:
    """The installed package names the plugin as pytest's entry point."""
    (point,) = entry_points(group="pytest11", name="harness")

    assert point.load() is pytest_plugin
