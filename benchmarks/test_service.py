"""The chaos service from a full broker to an empty one: messages per second, and CPU time per message."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from . import paired, probed

SERVICE = Path(__file__).parent / "workloads" / "service.py"
# A third to half a second of work.
MESSAGES = 1_000
PAIRS = 8

UNTRACED = {"OTEL_SDK_DISABLED": "true"}

pytestmark = pytest.mark.parametrize("broker", ["memory", "sqlite"])


def test_tracing(compare, tmp_path, broker):
    """OpenTelemetry's SDK records spans that nobody exports, against the SDK switched off."""
    base = _service(broker, tmp_path, {**os.environ, **UNTRACED})
    head = _service(broker, tmp_path, os.environ)

    compare(f"service, {broker}", "tracing", base, head, pairs=PAIRS)


def test_probe(compare, tmp_path, broker):
    """The probe beside that tracing: it times the turns, and puts each span into the record."""
    inside = probed.environment(tmp_path / "run")
    base = _service(broker, tmp_path, os.environ)
    head = _service(broker, tmp_path, inside)

    compare(f"service, {broker}", "probe", base, head, pairs=PAIRS)

    assert min(probed.turns(tmp_path / "run"), default=0) > 0


def test_probe_without_tracing(compare, tmp_path, broker):
    """The probe, where no span is to be told: both sides with the SDK switched off."""
    inside = probed.environment(tmp_path / "run")
    base = _service(broker, tmp_path, {**os.environ, **UNTRACED})
    head = _service(broker, tmp_path, {**inside, **UNTRACED})

    compare(f"service, {broker}", "probe, no spans", base, head, pairs=PAIRS)

    assert min(probed.turns(tmp_path / "run"), default=0) > 0


def _service(broker, folder, environment):
    command = [sys.executable, str(SERVICE), broker, str(MESSAGES)]
    return paired.program(command, environment=environment, folder=folder)
