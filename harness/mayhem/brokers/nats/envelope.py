"""Converts messages to NATS headers and back."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from ...message import Message, json_object, text_headers


def to_headers(message: Message) -> dict[str, str]:
    """Return the NATS headers of a message: ASCII only, so one of them holds its own headers as JSON."""
    about = {"id": message.id, "published_at": message.published_at, "headers": dict(message.headers)}
    # The server detects duplicates by the first header.
    return {"Nats-Msg-Id": quote(message.id, safe=""), "Mayhem-Message": json.dumps(about)}


def to_message(body: bytes, headers: dict[str, str], *, default_id: str, default_at: float) -> Message:
    """Read a message back; one from another program keeps all its headers."""
    about: dict[str, Any] = json_object(headers.get("Mayhem-Message", ""))
    if not about:
        own = {str(name): value for name, value in headers.items() if not name.startswith("Nats-")}
        return Message(headers.get("Nats-Msg-Id", default_id), body, default_at, own)
    published_at = about.get("published_at")
    return Message(
        str(about.get("id", default_id)),
        body,
        float(published_at) if isinstance(published_at, int | float) else default_at,
        text_headers(about.get("headers")),
    )


def size_bytes(headers: dict[str, str]) -> int:
    """The size of the headers on the wire, which counts towards the size of the message."""
    return len("NATS/1.0\r\n\r\n") + sum(len(name) + len(value) + 4 for name, value in headers.items())
