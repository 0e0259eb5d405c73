"""Why a line of input gets no answer: it cannot be understood, or the command cannot do it."""

from __future__ import annotations


class OptionError(Exception):
    """The line cannot be parsed; the message says what was expected."""


class CommandError(Exception):
    """The command cannot do what the client asked for; the message, one sentence, says why."""
