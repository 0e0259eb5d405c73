"""The commands by name. A command's module is imported when somebody asks for it."""

from __future__ import annotations

import difflib
import importlib

from .command import Command
from .option import OptionError

# In the order of `help`: first what one looks at first.
COMMANDS = (
    ("status", "how the service is: its loops, tasks, blockers and load"),
    ("top", "the tasks that use most time"),
    ("ps", "every task: its state, and where it waits"),
    ("where", "where a task waits, down to the innermost await"),
    ("tree", "who awaits whom"),
    ("task", "everything about one task"),
    ("blocks", "what held a loop up lately"),
    ("spans", "requests in flight, and the slowest that finished"),
    ("trace", "the story of one trace"),
    ("executors", "thread pools: their queues, and what each thread does"),
    ("queues", "asyncio's queues, and who waits for them"),
    ("locks", "who waits for which lock, and deadlocks"),
    ("lints", "tasks that look wrong"),
    ("profile", "profile for some seconds"),
    ("record", "keep more in the record for some seconds"),
    ("faults", "list, inject and heal faults"),
    ("cancel", "cancel a task"),
    ("signal", "send the process a signal"),
    ("log", "change a log level for some time"),
    ("debug", "asyncio's debug mode for some time"),
    (
        "gc",
        "the garbage collector; `gc collect` runs it",
    ),
    ("memory", "where memory is allocated"),
    ("repl", "a Python prompt on the loop"),
    ("aiomonitor", "run a command of aiomonitor"),
    ("help", "the commands, or one of them"),
)
# Of the session itself.
LEAVE = ("quit", "exit")


def find(word: str) -> Command:
    """The command of that name, or of the one that begins with it.

    Raises:
        UsageError: There is none, or more than one.
    """
    names = [name for name, _ in COMMANDS]
    fitting = [word] if word in names else [name for name in names if word and name.startswith(word)]
    if len(fitting) != 1:
        raise OptionError(_unknown(word, fitting, names))
    command: Command = importlib.import_module(f"..commands.{fitting[0]}", __package__).COMMAND
    return command


def _unknown(word: str, fitting: list[str], names: list[str]) -> str:
    if not word:
        return "expected a command; help lists them"
    if fitting:
        return f"{word} can be {', '.join(fitting)}"
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "help lists the commands"
    return f"no command {word!r}; {hint}"
