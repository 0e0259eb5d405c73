"""The chaos service from a full broker to an empty one: messages per second, and CPU time per message."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from . import probed, sides

SERVICE = Path(__file__).parent / "workloads" / "service.py"
# A third of a second of work.
MESSAGES = 3_000
PAIRS = 8

in_each = pytest.mark.parametrize("broker", ["memory:", "sqlite:"])


@in_each
def test_tracing(compare, tmp_path, broker):
    """OpenTelemetry's SDK records every span, which nobody exports, against no spans at all."""
    base = _service(broker, tmp_path)
    head = _service(broker, tmp_path, "traced")

    compare(f"service, {broker}", "tracing", base, head, pairs=PAIRS)


@in_each
def test_probe(compare, tmp_path, broker):
    """The probe beside that tracing: it times the turns, and puts each span into the record."""
    inside = probed.environment(tmp_path / "run")
    base = _service(broker, tmp_path, "traced")
    head = _service(broker, tmp_path, "traced", environment=inside)

    compare(f"service, {broker}", "probe", base, head, pairs=PAIRS)

    assert min(probed.turns(tmp_path / "run"), default=0) > 0


@in_each
def test_probe_without_tracing(compare, tmp_path, broker):
    """The probe, where no span is to be told: both sides with the SDK switched off."""
    untraced = {"OTEL_SDK_DISABLED": "true"}
    inside = probed.environment(tmp_path / "run")
    base = _service(broker, tmp_path, environment={**os.environ, **untraced})
    head = _service(broker, tmp_path, environment={**inside, **untraced})

    compare(f"service, {broker}", "probe, no spans", base, head, pairs=PAIRS)

    assert min(probed.turns(tmp_path / "run"), default=0) > 0


# A server is not started here: HARNESS_BENCH_BROKERS="nats://127.0.0.1:4222 redis://127.0.0.1:6379/0".
SERVERS = os.environ.get("HARNESS_BENCH_BROKERS", "").split()


BARE = {"bare": "the service, against bare calls", "loop": "the service, against a plain loop"}


@pytest.mark.parametrize("bare", BARE)
@pytest.mark.parametrize("broker", ["memory:", "sqlite:", *SERVERS])
def test_service(compare, tmp_path, broker, bare):
    """All that the service does about a message, against the calls of the same broker and store alone."""
    base = _service(broker, tmp_path, bare)
    head = _service(broker, tmp_path)

    compare(f"service, {broker}", BARE[bare], base, head, pairs=PAIRS)


def _service(broker, folder, *how, environment=os.environ):
    command = [sys.executable, str(SERVICE), broker, str(MESSAGES), *how]
    return sides.program(command, environment=environment, folder=folder)
