"""What the driver was answered, and which requests a block delayed."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
# A request that is sent closer than this to an end of a block may be on either side of it.
MARGIN_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A request, and what its worker said; times as in `time.monotonic_ns`."""

    client: int
    asked: str
    sent_ns: int
    answered_ns: int
    pid: int
    from_ns: int = 0  # of the block
    to_ns: int = 0


def driven(programs: Path, protocol: str, port: int) -> list[Answer]:
    """Ask the server that listens there, or takes its requests from the broker there."""
    done = subprocess.run(
        [programs / "python", "-m", "tests.real.driver", protocol, str(port)],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    return [Answer(**json.loads(line)) for line in done.stdout.splitlines()]


def blocks_of(answers: Iterable[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.asked == "block"]


def clients_that_waited(block: Answer, answers: Iterable[Answer]) -> set[int]:
    """Those whose request came to the blocked worker in the middle of the block, and was answered later."""
    return {
        answer.client
        for answer in answers
        if answer.asked == "ok"
        and answer.pid == block.pid
        and block.from_ns + MARGIN_NS < answer.sent_ns < block.to_ns - MARGIN_NS
        and answer.answered_ns > block.to_ns
    }
