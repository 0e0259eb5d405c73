"""A message's headers as one piece of text, for brokers that have no headers of their own."""

from __future__ import annotations

import json


def parsed(text: str) -> dict[str, str]:
    """The headers in a JSON object; none in anything else.

    A message whose headers cannot be read loses its trace, nothing else.
    """
    try:
        headers = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}
