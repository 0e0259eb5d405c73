"""A round with the broker in memory, which ends with its process, so only SIGTERM is used.

The process publishes to itself, and its spans show what became of each message: those in flight are finished
and saved, and no others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

from harness.mayhem.stores.sqlite import times_saved

from .invariant import lines
from .plan import Plan, Terms
from .process import running
from .round import SERVICE, RoundOutcome, end, serve, unhandled

# More events than a round lasts.
ENDLESS = "1000000"


async def play(plan: Plan, terms: Terms, *, folder: Path) -> RoundOutcome:
    """Play a round."""
    log, out, store_url = folder / "service.log", folder / "spans.json", f"sqlite:{folder / 'store.db'}"
    events = ("--events", ENDLESS, "--rate-per-s", str(terms.rate_per_s))
    async with running(
        SERVICE,
        [*serve(terms, "memory:", store_url), *events],
        log=log,
        out=out,
        environment={"OTEL_TRACES_EXPORTER": "console", "OTEL_BSP_MAX_QUEUE_SIZE": "100000"},
    ) as service:
        await service.said("consuming", log)
        await asyncio.sleep(plan.after_s)
        drain_s, late = await end(service, plan.signum, terms)
    spans = list(_spans(out))
    published = {message for name, message in spans if name == "publish restart"}
    acked = {message for name, message in spans if name == "ack"}
    saved = await times_saved(store_url)
    unsaved = acked - saved.keys()
    found = {
        "acked, but not saved": unsaved,
        "saved, but not acked: it was in flight": saved.keys() - acked,
        "settled, but never published": acked - published,
        "saved twice": {name for name, times in saved.items() if times > 1},
    }
    return RoundOutcome(
        number=plan.number,
        signal=plan.signum.name,
        after_s=round(plan.after_s, 3),
        publisher_killed=False,
        published=len(published),
        acked=len(acked),
        duplicated=sum(times > 1 for times in saved.values()),
        acked_unsaved=len(unsaved),
        left=len(published - acked),
        drain_s=drain_s,
        violations=(*late, *unhandled(log), *lines(found)),
    )


def _spans(out: Path) -> Iterator[tuple[str, str]]:
    """Yield each span's name and the id of its message."""
    decoder, text, at = json.JSONDecoder(), out.read_text(), 0
    while at < len(text):
        span, at = decoder.raw_decode(text, at)
        while text[at : at + 1].isspace():
            at += 1
        yield span["name"], span["attributes"].get("messaging.message.id", "")
