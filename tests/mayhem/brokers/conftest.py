"""Fixtures: a queue on each of the shared broker servers."""

from __future__ import annotations

import uuid

import pytest


@pytest.fixture(params=["nats", "redis"])
def system(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(system: str, request: pytest.FixtureRequest) -> str:
    """A queue of this test on the shared server."""
    return str(request.getfixturevalue(f"{system}_server").url(uuid.uuid4().hex))
