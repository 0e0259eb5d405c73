"""The project's file ``harness.toml``: which synchronous calls of its code are allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...errors import UsageError
from ...record.toml import document
from ...record.toml.validation import violations
from .allowlist import AllowedCall

_Text = Annotated[str, Field(min_length=1)]


class _ProjectTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Allow(_ProjectTable):
    call: _Text
    reason: _Text
    function: _Text = "*"
    caller: _Text = "*"
    argument: str = "*"


class _CallsTable(_ProjectTable):
    allow: Annotated[tuple[_Allow, ...], Field(strict=False)] = ()


class _Project(_ProjectTable):
    calls: _CallsTable = _CallsTable()


def load_allowances(path: Path) -> tuple[AllowedCall, ...]:
    """The entries ``[[calls.allow]]`` of the file.

    Raises:
        UsageError: The file cannot be read or is wrong; the message names file, line and key.
    """
    text = document.read_text(path, UsageError)
    content = document.parse(path, text, UsageError)
    try:
        project = _Project.model_validate(content)
    except ValidationError as exc:
        found = violations(exc.errors(), content, _Project.model_json_schema())
    else:
        return tuple(AllowedCall(**dict(entry)) for entry in project.calls.allow)
    raise document.refusal(path, text, found, UsageError)
