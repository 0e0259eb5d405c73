"""For processes whose files may not grow: Python would leave the beginnings of its own in the checkout.

It writes compiled modules without looking at how much was written, and the next process cannot read them.
"""

from __future__ import annotations

import os


def without_bytecode() -> dict[str, str]:
    """This process's environment, in which Python keeps no compiled modules."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
