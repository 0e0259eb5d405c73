"""Errors of a line of input: it cannot be parsed, or the command cannot carry it out."""

from __future__ import annotations


class OptionError(Exception):
    """The line cannot be parsed; the message says what was expected."""


class CommandError(Exception):
    """The command cannot do what the client asked for; the message, one sentence, says why."""
