"""The tree of errors. Each class has the exit status with which it ends a command.

    HarnessError                1  never raised itself
    ├── UsageError              2  the command cannot be executed as given; nothing was started
    │   └── ScenarioError       2  the scenario file is wrong; nothing was started
    ├── RecordError             2  a run's folder cannot be read, or is of a newer format
    ├── MeasurementError        3  the run ended, but its figures cannot be trusted
    ├── OutputError             3  a result cannot be written: the disk is full
    └── TargetError             4  the target did not start, or died on its own

The message says where the error is, what was expected and what was found; advice is a note (``add_note``).
"""

from __future__ import annotations


class HarnessError(Exception):
    """The base of all errors that the harness raises on purpose."""

    exit_code = 1


class UsageError(HarnessError):
    """The command cannot be executed as given; nothing was started."""

    exit_code = 2


class ScenarioError(UsageError):
    """The scenario file is wrong; nothing was started."""


class RecordError(HarnessError):
    """A run's folder cannot be read, or was written by a newer format."""

    exit_code = 2


class MeasurementError(HarnessError):
    """The run ended, but its figures cannot be trusted."""

    exit_code = 3


class OutputError(HarnessError):
    """A result cannot be written, since the disk or what is behind stdout is full."""

    exit_code = 3


class TargetError(HarnessError):
    """The target did not start, or died on its own."""

    exit_code = 4
