"""Chooses the loop that a command acts on."""

from __future__ import annotations

import threading
from argparse import ArgumentParser
from asyncio import Task
from typing import Any

from ..protocol.errors import CommandError
from .loop_view import LoopView
from .process import ProcessView


def add_loop_argument(parser: ArgumentParser) -> None:
    """Add ``--loop N``."""
    parser.add_argument(
        "--loop", type=int, metavar="N", help="the loop's number in `status`, if there are several"
    )


def chosen(process: ProcessView, number: int | None) -> LoopView:
    """The loop with that number; without a number, the main thread's loop or the only one.

    Raises:
        CommandError: There is none, or the choice is ambiguous.
    """
    views = process.loops()
    if number is not None:
        found = [view for view in views if view.number == number]
        if not found:
            raise CommandError(f"no loop has the number {number}; see `status`")
        return found[0]
    if not views:
        raise CommandError("no loop is running")
    main = threading.main_thread().ident
    views = [view for view in views if view.thread_ident == main] or views
    if len(views) > 1:
        raise CommandError(
            f"{len(views)} loops are running: choose one with --loop, by its number in `status`"
        )
    return views[0]


def of_task(process: ProcessView, task: Task[Any]) -> LoopView:
    """The loop that runs *task*.

    Raises:
        CommandError: The loop is not running.
    """
    loop = task.get_loop()
    for view in process.loops():
        if view.loop is loop:
            return view
    raise CommandError("the task's loop is not running")
