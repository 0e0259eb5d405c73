"""Sends requests to the probe inside a target, over its control sockets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import NamedTuple

from ..errors import TargetError

ANSWER_WITHIN_S = 5.0


class Answers(NamedTuple):
    """What the processes of the target that run a loop said to one request; both empty when none is alive."""

    given: list[dict[str, object]]
    refusals: list[str]


async def ask(folder: Path, request: dict[str, object]) -> list[dict[str, object]]:
    """The answers of all processes of the target that run a loop; empty when none is alive.

    Raises:
        TargetError: Every process refused, or did not answer in time.
    """
    answers = await ask_each(folder, request)
    if answers.refusals and not answers.given:
        raise TargetError("; ".join(dict.fromkeys(answers.refusals)))
    return answers.given


async def ask_each(folder: Path, request: dict[str, object]) -> Answers:
    """Ask all processes of the target that run a loop, at once."""
    paths = sorted(folder.glob("*.sock"))
    outcomes = await asyncio.gather(*(_outcome(path, request) for path in paths))
    answers = Answers([], [])
    for path, outcome in zip(paths, outcomes, strict=True):
        match outcome:
            case None:
                continue  # the process has ended; if it was killed, its socket is left
            case str():
                answers.refusals.append(f"process {path.stem}: {outcome}")
            case {"ok": True}:
                answers.given.append(outcome)
            case _:
                answers.refusals.append(str(outcome.get("error")))
    return answers


async def _outcome(path: Path, request: dict[str, object]) -> dict[str, object] | str | None:
    try:
        return await asyncio.wait_for(_ask_one(path, request), ANSWER_WITHIN_S)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except TimeoutError:
        return f"no answer within {ANSWER_WITHIN_S:g} s"
    except (OSError, ValueError) as exc:
        return str(exc)


async def _ask_one(path: Path, request: dict[str, object]) -> dict[str, object]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise ConnectionRefusedError("the process ended")
    answer = json.loads(line)
    if not isinstance(answer, dict):
        raise ValueError("the answer is not a JSON object")
    return answer
