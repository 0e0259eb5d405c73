"""The public API as programs and test suites use it. mypy checks this file; nothing runs it."""

from __future__ import annotations

from collections.abc import Iterator

import harness
from harness.read.blocks.block import Block
from harness.read.blocks.live_hang import LiveHang
from harness.read.finding import Cost, Finding
from harness.testing.loop import LoopBlockedError, no_blocks
from harness.testing.trouble import TroubleFoundError, no_trouble
from harness.watching import Watch

version: str = harness.__version__


def on_block(block: Block) -> None:
    held_ms: float = block.held_ms
    line: int = block.line
    cause: str = block.cause
    print(held_ms, line, cause)


def watch() -> tuple[Block, ...]:
    with harness.watch_loop() as plain:
        dropped: int = plain.dropped
    with harness.watch_loop(limit_ms=50, on_block=on_block) as watched:
        print(dropped)
    with harness.watch_loop(hang_ms=500, on_hang=on_hang, hang_exit_s=30, systemd_watchdog=True):
        print(version)
    return watched.blocks


def on_hang(hang: LiveHang) -> None:
    held_s: float = hang.held_s
    place: str = hang.place
    print(held_s, place, hang.stack, hang.task, hang.returned)


def console() -> None:
    with harness.open_console() as silent:
        print(silent)
    with harness.open_console(allow=["cancel", "repl"], port=0, limit_ms=50) as opened:
        endpoint = opened.wait_open(within_s=1.0)
        port: int | None = endpoint.port if endpoint is not None else None
        print(port)


def in_tests(watch_loop: Watch) -> Iterator[Block]:
    try:
        with no_blocks(limit_ms=20) as watched:
            yield from watched.blocks
    except LoopBlockedError as exc:
        yield from exc.blocks
    yield from watch_loop.blocks


def wrong() -> None:
    # Each of these must be an error: an unused `ignore` is one, too.
    harness.watch_loop(limit_ms="50")  # type: ignore[arg-type]
    harness.watch_loop(on_block=print_nothing)  # type: ignore[arg-type]
    harness.open_console(allow=None)  # type: ignore[arg-type]
    harness.open_consoles()  # type: ignore[operator]


def print_nothing() -> None: ...


def findings() -> tuple[Finding, ...]:
    with harness.watch_loop(only_blocks=False) as watched:
        verdict: str = watched.verdict
        print(verdict)
    try:
        with no_trouble(limit_ms=20, allow=["growth"]) as closely:
            return closely.findings
    except TroubleFoundError as exc:
        for finding in exc.findings:
            cost: Cost | None = finding.cost
            line: int | None = finding.line
            print(finding.rule, finding.level, finding.message, finding.next, cost, line)
    return watched.findings
