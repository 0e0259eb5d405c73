"""Finds commands by name. A command's module is imported when it is first used."""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil

from .. import commands
from .command import Command
from .errors import OptionError

# Handled by the session itself.
LEAVE = ("quit", "exit")


def names() -> list[str]:
    """The name of every command, in alphabetical order; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def every_command() -> list[Command]:
    """All commands, in the order of `help`."""
    return sorted(map(_load, names()), key=lambda command: (command.help_order, command.name))


def find(word: str) -> Command:
    """The command named *word*, or the only one whose name starts with it.

    Raises:
        OptionError: There is none, or more than one.
    """
    known = names()
    fitting = [word] if word in known else [name for name in known if word and name.startswith(word)]
    if len(fitting) != 1:
        raise OptionError(_unknown(word, fitting, known))
    return _load(fitting[0])


# One instance of each: `option.parser` is cached by instance.
@functools.cache
def _load(name: str) -> Command:
    module = importlib.import_module(f"{commands.__name__}.{name}")
    classes = (found for found in vars(module).values() if isinstance(found, type))
    own = (found for found in classes if issubclass(found, Command) and found.__module__ == module.__name__)
    return next(own)()


def _unknown(word: str, fitting: list[str], known: list[str]) -> str:
    if not word:
        return "expected a command; help lists them"
    if fitting:
        return f"{word} can be {', '.join(fitting)}"
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "help lists the commands"
    return f"no command {word!r}; {hint}"
