"""Invites the descendants of a run's target that do not inherit its environment."""

from __future__ import annotations

from typing import Self

from ...record.probe_config import ProbeConfig
from ...record.process import invitation


class Invitations:
    """Those of one run, valid for the duration of the ``with`` block.

    A runner that is killed leaves its invitation, which ends with the target that it names.
    """

    def __init__(self, config: ProbeConfig) -> None:
        self._order = config.text()
        self._paths: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for path in self._paths:
            invitation.withdraw(path)

    def invite(self, pid: int) -> None:
        """Invite the descendants of process *pid*. Where that fails, the others are watched as always."""
        try:
            self._paths.append(invitation.write(pid, self._order))
        except (OSError, ValueError):
            return
