"""Every setting of the service, each an option and an environment variable; the option wins."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .errors import SettingsError


@dataclass(frozen=True, slots=True)
class Settings:
    """What the service is told. The defaults are for a laptop."""

    db: Path = Path("mayhem.db")
    memory: bool = False
    events: int = 0
    rate_per_s: float = 10.0
    hosts: int = 10
    concurrency: int = 50
    lease_s: float = 10.0
    max_deliveries: int = 5
    drain_s: float = 10.0
    seed: int = 0
    debug: bool = False


def add_options(parser: ArgumentParser, *names: str) -> None:
    """Add the options of the settings with these *names*; without names, of all."""
    for setting in _SETTINGS:
        if names and setting.name not in names:
            continue
        if setting.parse is _flag:
            text = f"{setting.about} ({setting.variable})"
            parser.add_argument(setting.option, dest=setting.name, action="store_const", const="1", help=text)
        else:
            default = getattr(_DEFAULTS, setting.name)
            text = f"{setting.about} ({setting.variable}, default {default})"
            parser.add_argument(setting.option, dest=setting.name, metavar=setting.metavar, help=text)


def settings_from(options: Namespace, environment: Mapping[str, str]) -> Settings:
    """The settings of a command line and an environment.

    Raises:
        SettingsError: A value is wrong; the message names where it came from.
    """
    values: dict[str, Any] = {}
    for setting in _SETTINGS:
        text, source = getattr(options, setting.name, None), setting.option
        if text is None:
            text, source = environment.get(setting.variable), setting.variable
        if text is None:
            continue
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as exc:
            raise SettingsError(f"{source} must be {exc}, got {text!r}") from None
    return Settings(**values)


def _path(text: str) -> Path:
    if not text:
        raise ValueError("a path")
    return Path(text)


def _flag(text: str) -> bool:
    match text.lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "" | "0" | "false" | "no" | "off":
            return False
        case _:
            raise ValueError("1 or 0")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("a whole number >= 0")
    return int(text)


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number >= 1")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise ValueError("a finite number > 0")
    return number


class _Setting(NamedTuple):
    name: str  # in `Settings`
    option: str
    parse: Callable[[str], object]  # its ValueError says what was expected
    about: str

    @property
    def metavar(self) -> str:
        return self.option.removeprefix("--").replace("-", "_").upper()

    @property
    def variable(self) -> str:
        return f"MAYHEM_{self.metavar}"


_DEFAULTS = Settings()
_SETTINGS = (
    _Setting("db", "--db", _path, "the SQLite file of broker and store"),
    _Setting("memory", "--memory", _flag, "broker and store in memory instead"),
    _Setting("events", "--events", _count, "publish so many events, and end once all are settled"),
    _Setting("rate_per_s", "--rate", _positive, "how many of those per second"),
    _Setting("hosts", "--hosts", _at_least_one, "how many different hosts those name"),
    _Setting("concurrency", "--concurrency", _at_least_one, "messages in hand at the same time"),
    _Setting("lease_s", "--lease-s", _positive, "seconds until an unsettled message is handed out again"),
    _Setting("max_deliveries", "--max-deliveries", _at_least_one, "deliveries until a message is laid aside"),
    _Setting("drain_s", "--drain-s", _positive, "seconds for what is in hand at the end"),
    _Setting("seed", "--seed", _count, "of everything random"),
    _Setting("debug", "--debug", _flag, "asyncio's debug mode, and debug logging"),
)
