"""The pytest plugin that runs a scenario as a test: ``@pytest.mark.scenario("scenarios/first.toml")``.

The test fails with the run's verdict unless all expectations of the scenario are met. It is loaded in every
pytest run of an environment with the harness installed, so it imports nothing until a test has the marker.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing.scenario_run import ScenarioRun

_MARKER = (
    "scenario(path, *overrides, judged=True): run this scenario, a path from pytest's root directory, with "
    "KEY=VALUE as for harness run --set, and fail the test unless its expectations are met; judged=False "
    "leaves that to the test, by the fixture scenario_run."
)
_RUN = pytest.StashKey["ScenarioRun"]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    if (mark := item.get_closest_marker("scenario")) is not None:
        from .testing.scenario_run import ScenarioRun

        def run(path: str, *overrides: str, judged: bool = True) -> ScenarioRun:
            return ScenarioRun(item.config.rootpath / path, overrides, judged=judged)

        item.stash[_RUN] = run(*mark.args, **mark.kwargs)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    run = item.stash.get(_RUN, None)
    if run is not None and (why := run.failure()):
        # A traceback would show this plugin.
        pytest.fail(why, pytrace=False)
    return (yield)


@pytest.fixture
def scenario_run(request: pytest.FixtureRequest) -> ScenarioRun:
    """The run of the test's marker ``scenario``, which starts when the test asks for its outcome."""
    run: ScenarioRun | None = request.node.stash.get(_RUN, None)
    if run is None:
        pytest.fail('scenario_run needs @pytest.mark.scenario("FILE.toml") on the test', pytrace=False)
    return run
