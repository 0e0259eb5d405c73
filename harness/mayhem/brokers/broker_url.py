"""The URL of a queue on a broker's server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from ..errors import SettingsError

QUEUE = "mayhem"
# Every server accepts these characters in a name without quoting.
QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """The parts of ``SCHEME://USER:PASSWORD@HOST:PORT/PATH?queue=NAME``."""

    url: str = field(repr=False)  # without the queue, with the password
    shown: str  # without queue and password, for errors and log lines
    queue: str

    @classmethod
    def from_url(cls, url: str) -> BrokerUrl:
        """Parse the URL.

        Raises:
            SettingsError: The URL names no host or an invalid port, or has an unknown parameter.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
            query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as exc:
            raise SettingsError(f"the broker's URL cannot be read: {exc}") from None
        place = f"{parts.hostname or ''}{f':{port}' if port else ''}{parts.path}"
        shown = f"{parts.scheme}://{place}"
        if not parts.hostname:
            raise SettingsError(f"the broker's URL names no host: expected {parts.scheme}://HOST:PORT")
        if unknown := query.keys() - {"queue"}:
            raise SettingsError(f"{shown}: expected ?queue=NAME, got {min(unknown)!r}")
        queue = query.get("queue", [QUEUE])[-1]
        if not QUEUE_NAME.fullmatch(queue):
            raise SettingsError(f"{shown}: a queue's name has letters, digits, _ and -, got {queue!r}")
        return cls(parts._replace(query="", fragment="").geturl(), shown, queue)
