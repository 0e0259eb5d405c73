"""Asks the probe inside a target to do something, through its control socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from ..errors import TargetError

ANSWER_WITHIN_S = 5.0


async def ask(folder: Path, request: dict[str, object]) -> list[dict[str, object]]:
    """The answers of every process of the target that runs a loop.

    Raises:
        TargetError: No process could be asked, or every one of them refused.
    """
    answers, refusals = [], []
    for path in sorted(folder.glob("*.sock")):
        try:
            answer = await asyncio.wait_for(_ask_one(path, request), ANSWER_WITHIN_S)
        except (OSError, ValueError, TimeoutError) as exc:
            # A process that has ended leaves its socket behind; one that is stuck does not answer.
            refusals.append(f"process {path.stem}: {exc or 'no answer'}")
            continue
        if answer.get("ok"):
            answers.append(answer)
        else:
            refusals.append(str(answer.get("error")))
    if not answers:
        raise TargetError("; ".join(refusals) or "no process of the target runs a loop under the probe")
    return answers


async def _ask_one(path: Path, request: dict[str, object]) -> dict[str, object]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline())
    finally:
        writer.close()
    if not isinstance(answer, dict):
        raise TypeError("not an answer")
    return answer
