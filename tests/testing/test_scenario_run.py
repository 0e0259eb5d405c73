"""The marker `scenario` in runs of pytest: a scenario is a test, and fails with the run's verdict."""

from __future__ import annotations

import pytest

# The chaos service under a little load; generous where a crowded machine would be late.
SCENARIO = """
[target]
kind = "mayhem"
settings = { hosts = 3 }
[load]
sender = "sqlite"
rate_per_s = 20
duration_s = 0.5
max_late_ms = 5000
[expect]
"ledger.lost" = "== 0"
"""


@pytest.mark.long
def test_a_scenario_is_a_test(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """It passes where all expectations were met, and fails before its body, or with the scenario's error."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (pytester.path / "calm.toml").write_text(SCENARIO)
    pytester.makepyfile("""
import pytest

@pytest.mark.scenario("calm.toml")
def test_met(scenario_run):
    assert scenario_run.status == 0
    assert scenario_run.report["load"]["sent"] == 10
    assert (scenario_run.folder / "report.html").is_file()

@pytest.mark.scenario("calm.toml", 'expect."load.sent"=">= 11"')
def test_not_met():
    raise RuntimeError("the body is not reached")

@pytest.mark.scenario("calm.toml", 'load.rate="20"')
def test_wrong():
    pass

@pytest.mark.scenario("missing.toml", judged=False)
def test_of_its_own_judgement(scenario_run):
    assert scenario_run.status == 2
    assert scenario_run.report == {}

def test_without_the_marker(scenario_run):
    pass
""")

    result = pytester.runpytest_subprocess("-p", "harness.scenario_plugin", "--strict-markers")

    result.assert_outcomes(passed=2, failed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            'scenario_run needs @pytest.mark.scenario("FILE.toml") on the test',
            "*calm.toml: Failed: load.sent is 10, expected >= 11.*",
            "    load.sent >= 11: 10",
            "    see reports/*/report.html",
            "*load.rate*",
        ]
    )
    result.stdout.no_fnmatch_line("*the body is not reached*")
