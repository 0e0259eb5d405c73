"""`log`: changes a logger's level for a limited time."""

from __future__ import annotations

import logging
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable

from ..protocol import duration
from ..protocol.command import READS, SLOWS, Command, CommandClient
from ..protocol.errors import CommandError
from ..protocol.result import CommandResult, Rows
from ..view.process import ProcessView

DEFAULT_S, LONGEST_S = 60.0, 3600.0
ROOT = "root"


class LogCommand(Command):
    name = "log"
    summary = "change a log level for a limited time"
    help_order = 190

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("level", nargs="?", metavar="LEVEL", help="DEBUG, INFO ..., or reset")
        parser.add_argument(
            "logger", nargs="?", default=ROOT, metavar="LOGGER", help=f"the logger's name [{ROOT}]"
        )
        duration.add_for(parser, DEFAULT_S, LONGEST_S, "restore the level after this time")

    def needs(self, options: Namespace) -> str:
        return READS if options.level is None else SLOWS

    def candidates(self, process: ProcessView) -> Iterable[str]:
        return [*logging.getLevelNamesMapping(), "reset"]

    def run(self, options: Namespace, process: ProcessView, client: CommandClient) -> CommandResult:
        if options.level is None:
            return _list()
        logger, name = _known(options.logger), f"log {options.logger}"
        if options.level.lower() == "reset":
            if not process.changes.end(name):
                raise CommandError(f"this console has not changed {options.logger}")
            return CommandResult(
                lines=(f"{options.logger}: {_level(logger.level)} again",), data=_data(logger, options)
            )
        if (level := logging.getLevelNamesMapping().get(options.level.upper())) is None:
            known = ", ".join(logging.getLevelNamesMapping())
            raise CommandError(f"there is no level {options.level}: expected one of {known}, or reset")
        process.changes.end(name)  # an earlier change of this logger, which this one replaces
        before = logger.level

        def undo() -> None:
            # A later change by the program stays.
            if logger.level == level:
                logger.setLevel(before)

        if level < logger.getEffectiveLevel():
            client.send_line("each further log record is formatted and written on the thread that logs it")
        what = f"{_level(level)} instead of {_level(before)}"
        with process.changes.changing(name, what, for_s=options.for_s, undo=undo):
            logger.setLevel(level)
        lines = (f"{options.logger}: {what}, for {options.for_s:g} s", *_obstacles(logger, level))
        return CommandResult(
            lines=lines,
            data=_data(logger, options, for_s=options.for_s),
            hint=f"log reset {options.logger}: at once",
        )


def _list() -> CommandResult:
    # In one step, during which no other thread can add a logger.
    names = [ROOT, *sorted(logging.root.manager.loggerDict)]
    rows = []
    for name in names:
        logger = logging.root if name == ROOT else logging.root.manager.loggerDict.get(name)
        if isinstance(logger, logging.Logger):
            handlers = ", ".join(f"{type(h).__name__} {_level(h.level)}" for h in logger.handlers)
            effective = _level(logger.getEffectiveLevel())
            rows.append((name, _level(logger.level), effective, handlers, logger.propagate))
    return CommandResult(
        rows=Rows(("logger", "level", "effective", "handlers", "propagates"), rows),
        hint="log DEBUG LOGGER --for 60s: more output of one of them, for a while",
    )


def _known(name: str) -> logging.Logger:
    # Not `getLogger`, which would make a logger for every misspelt name.
    logger = logging.root if name == ROOT else logging.root.manager.loggerDict.get(name)
    if not isinstance(logger, logging.Logger):
        raise CommandError(f"the program has no logger named {name}; `log` lists them")
    return logger


def _obstacles(logger: logging.Logger, level: int) -> Iterable[str]:
    """Why records of *level* may still not be output."""
    handlers: list[logging.Handler] = []
    at: logging.Logger | None = logger
    while at is not None:
        handlers += at.handlers
        at = at.parent if at.propagate else None
    passing = [handler for handler in handlers if handler.level <= level]
    if not handlers:
        yield "it has no handler: only warnings and errors are output, to stderr"
    elif not passing:
        least = min(handlers, key=lambda handler: handler.level)
        yield f"but no handler accepts that level: {type(least).__name__} requires {_level(least.level)}"
    if logger.manager.disable >= level:
        yield f"but logging.disable({_level(logger.manager.disable)}) is in force"


def _data(logger: logging.Logger, options: Namespace, **more: object) -> dict[str, object]:
    return {"logger": options.logger, "level": _level(logger.level), **more}


def _level(level: int) -> str:
    return logging.getLevelName(level)
