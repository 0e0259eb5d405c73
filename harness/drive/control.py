"""Sends requests to the probe inside a target, over its control socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from ..errors import TargetError

ANSWER_WITHIN_S = 5.0


async def ask(folder: Path, request: dict[str, object]) -> list[dict[str, object]]:
    """The answers of all processes of the target that run a loop; empty when none is alive.

    Raises:
        TargetError: Every process refused, or did not answer in time.
    """
    answers, refusals = [], []
    for path in sorted(folder.glob("*.sock")):
        try:
            answer = await asyncio.wait_for(_ask_one(path, request), ANSWER_WITHIN_S)
        except (FileNotFoundError, ConnectionRefusedError):
            continue  # the process has ended; if it was killed, its socket is left
        except TimeoutError:
            refusals.append(f"process {path.stem}: no answer within {ANSWER_WITHIN_S:g} s")
        except (OSError, ValueError) as exc:
            refusals.append(f"process {path.stem}: {exc}")
        else:
            if answer.get("ok"):
                answers.append(answer)
            else:
                refusals.append(str(answer.get("error")))
    if refusals and not answers:
        raise TargetError("; ".join(refusals))
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
        raise ValueError("the answer is not a JSON object")
    return answer
