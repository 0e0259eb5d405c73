"""What a scenario's chaos service comes down to: its command, where its load goes, and its ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from harness.drive.targets.mayhem import spec
from harness.drive.targets.spec import TargetSpec
from harness.errors import ScenarioError, TargetError
from harness.record.run_folder import RunFolder
from harness.record.scenario import MayhemTarget

SERVICE = (sys.executable, "-P", "-m", "harness.mayhem")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run.1")


def made(folder: RunFolder, **keys: Any) -> TargetSpec:
    return spec(MayhemTarget(kind="mayhem", **keys), folder)


def test_by_default_both_are_a_new_file_of_the_run(folder: RunFolder) -> None:
    """Broker and store are one SQLite file; the sender and the ledger find it there."""
    found = made(folder)
    database = f"{folder.artefacts}/mayhem.db"
    backends = ("--broker", f"sqlite:{database}", "--store", f"sqlite:{database}")

    assert found.command == (*SERVICE, "serve", *backends)
    assert found.ledger_command == (*SERVICE, "ledger", *backends)
    assert found.sender == {"database": database, "hosts": 10}


def test_on_a_server_the_run_has_a_queue_of_its_own(folder: RunFolder) -> None:
    """What another run left there is not counted; a queue that is named is used."""
    url = "nats://127.0.0.1:4222"
    found = made(folder, broker=url, store="memory:")
    assert found.sender == {"url": f"{url}?queue=run-1", "hosts": 10}
    assert found.ledger_command == ()

    named = made(folder, broker=f"{url}?queue=theirs")
    assert named.sender["url"] == f"{url}?queue=theirs"
    assert named.ledger_command[-4:] == (
        *("--broker", f"{url}?queue=theirs"),
        *("--store", f"sqlite:{folder.artefacts}/mayhem.db"),
    )


def test_a_password_is_in_no_command(folder: RunFolder) -> None:
    """It goes through the environment, to the service and to its ledger; the sender gets it on its stdin."""
    broker, store = "redis://:geheim@127.0.0.1:6379/0?queue=q", "postgresql://user:geheim@127.0.0.1/shop"
    found = made(folder, broker=broker, store=store, settings={"hosts": 3})

    assert found.env == {"MAYHEM_BROKER": broker, "MAYHEM_STORE": store}
    assert found.command == (*SERVICE, "serve", "--hosts=3")
    assert found.ledger_command == (*SERVICE, "ledger")
    assert found.sender == {"url": broker, "hosts": 3}


def test_settings_are_options_and_the_file_is_one(folder: RunFolder, tmp_path: Path) -> None:
    """Yes and no are flags; how many hosts there are is what the service makes of all of it."""
    config = tmp_path / "mayhem.toml"
    config.write_text("hosts = 3")
    found = made(folder, config=config, settings={"lease_s": 0.5, "debug": False})

    assert found.command[4:9] == ("serve", "--lease-s=0.5", "--no-debug", "--config", str(config))
    assert found.sender["hosts"] == 3


def test_what_the_service_does_not_accept_is_the_scenarios_error(folder: RunFolder) -> None:
    """Nothing is started; the message is the service's own."""
    with pytest.raises(ScenarioError, match=r"^target: --hosts: input should be "):
        made(folder, settings={"hosts": 0})


def test_a_service_that_takes_too_long_is_an_error_of_the_target(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one of the harness: it may only have no processor."""
    monkeypatch.setattr("harness.drive.targets.mayhem.CHECK_WITHIN_S", 0.001)
    with pytest.raises(TargetError, match=r"^the service did not check its settings within 0\.001 s$"):
        made(folder)
