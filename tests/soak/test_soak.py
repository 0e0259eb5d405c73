"""The soak: a short one on each broker, and that it would notice what must not be."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem.errors import SettingsError
from harness.mayhem.ledger import BrokerAudit
from tests.mayhem.support.broker_servers import NatsServer, RedisServer, running
from tests.mayhem.support.service_process import run
from tests.soak.invariant import RoundState, violations
from tests.soak.plan import Terms, plan

SOAK = ("-m", "tests.soak")
ROOT = str(Path(__file__).parents[2])
BOTH = (signal.SIGKILL, signal.SIGTERM)
TERMS = Terms(seed=1, rate_per_s=100, lease_s=1, drain_s=5)


@pytest.fixture(params=["memory:", "sqlite:", "nats:", "redis:"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A broker for a soak; skipped when the server is not installed."""
    kinds = {"nats:": NatsServer, "redis:": RedisServer}
    if request.param in kinds:
        with running(kinds[request.param], tmp_path / "probe"):
            pass
    return str(request.param)


def soak(broker: str, *options: str, patience_s: int = 250) -> tuple[int, dict[str, Any], str]:
    """Its exit status and figures."""
    done = run("--broker", broker, "--json", *options, program=SOAK, patience_s=patience_s, PYTHONPATH=ROOT)
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.timeout(300)
@pytest.mark.long
def test_nothing_is_lost_in_two_rounds(broker: str) -> None:
    """Ended at random moments under load, by SIGKILL and SIGTERM, the service loses no message."""
    status, figures, said = soak(broker, "--rounds", "2", "--seed", "5", "--rate", "120", "--lease-s", "1")

    assert (status, figures["failed"]) == (0, 0), said
    assert (figures["lost"], figures["acked_unsaved"]) == (0, 0)
    settled = figures["acked"] + figures["dead_lettered"] + figures["left"]
    assert settled == figures["published"] > 100
    if broker != "memory:":
        assert figures["published"] == 2 * 120
        assert figures["dead_lettered"] == 2 * 3
        assert figures["killed"] > 0
        assert figures["duplicated"] <= figures["redelivered"]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", [("--rounds", "200"), ("--only", "sigterm", "--rounds", "50")])
def test_nothing_is_lost_in_a_night(broker: Any, what: Any) -> None:
    """The same with 200 rounds; and SIGTERM under load, 50 of 50 times within the deadline."""
    if broker == "memory:" and what[0] == "--only":
        pytest.skip("memory: is ended by SIGTERM only, in all its rounds")
    status, figures, said = soak(broker, *what, patience_s=3600)

    assert (status, figures["failed"]) == (0, 0), said


def test_a_round_is_repeated_by_its_seed() -> None:
    """The same seed and number decide the same; another seed decides otherwise."""
    rounds = [plan(number, TERMS, signums=BOTH) for number in range(50)]

    assert rounds == [plan(number, TERMS, signums=BOTH) for number in range(50)]
    assert rounds != [
        plan(number, Terms(seed=2, rate_per_s=100, lease_s=1, drain_s=5), signums=BOTH)
        for number in range(50)
    ]
    assert {one.signum for one in rounds} == {*BOTH}
    assert {one.publisher_after is None for one in rounds} == {True, False}


def state(
    *,
    acks: dict[str, int] | None = None,
    saved: dict[str, int] | None = None,
    dead: dict[str, str] | None = None,
) -> RoundState:
    acks = {"a": 1, "b": 2} if acks is None else acks
    audit = BrokerAudit(3, len(acks), acks, nacked=0, redelivered=1, dead_lettered=1, waiting=0)
    saved = {"a": 1, "b": 2} if saved is None else saved
    return RoundState(audit, saved, {"c-poison": "not JSON"} if dead is None else dead)


def test_a_good_round_has_no_violations() -> None:
    """A message saved twice was delivered twice; the malformed one is dead-lettered with a reason."""
    assert violations(state(), {"a", "b", "c-poison"}) == []


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (
            state(acks={"a": 1}, saved={"a": 1}),
            "1 lost: published, and neither acked nor dead-lettered: b",
        ),
        (state(saved={"b": 1}), "1 acked, but not saved: a"),
        (state(saved={"a": 2, "b": 2}), "1 saved twice although delivered once: a"),
        (state(dead={"c-poison": ""}), "1 dead-lettered without a reason: c-poison"),
        (
            state(acks={"a": 1, "b": 2, "c-poison": 1}, saved={"a": 1, "b": 1, "c-poison": 1}, dead={}),
            "1 acked although it cannot be handled: c-poison",
        ),
        (state(dead={"c-poison": "not JSON", "a": "why"}), "1 dead-lettered and acked: a"),
    ],
)
def test_each_violation_is_found(kept: RoundState, expected: str) -> None:
    """Each kind of violation is one line, with the messages."""
    assert violations(kept, {"a", "b", "c-poison"}) == [expected]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--broker", "memory:", "--only", "kill"],
            "--only kill: the broker memory: ends with its service",
        ),
        (
            ["--broker", "sqlite:a.db"],
            "--broker: each round has its own file; expected sqlite: without a path",
        ),
        (
            ["--broker", "sqlite:", "--kill-server-s", "1"],
            "--kill-server-s: expected one of nats:, redis: as --broker",
        ),
        (["--broker", "natz:"], "expected a URL with one of"),
    ],
)
def test_what_cannot_be_asked_for(arguments: list[str], said: str) -> None:
    """One line, and status 2."""
    wrong = run(*arguments, program=SOAK, PYTHONPATH=ROOT)

    assert wrong.returncode == SettingsError.exit_code
    assert wrong.stderr.startswith(f"soak: {said}")
    assert wrong.stderr.count("\n") == 1
