"""Many rows of whole numbers as one short text: what would be too much for a line of JSON each.

Rows of a log differ little from the ones before: what is kept is the differences, column by
column, compressed.
"""

from __future__ import annotations

import zlib
from array import array
from base64 import b64decode, b64encode
from collections.abc import Sequence
from itertools import accumulate
from operator import sub

# The fastest; a higher one saves a tenth.
LEVEL = 1


def pack(numbers: Sequence[int], width: int) -> str:
    """The rows, which lie in *numbers* one after the other; each, and their differences, fit into 64 bits."""
    if not numbers:
        return ""
    columns = (numbers[column::width] for column in range(width))
    differences = array("q")
    for column in columns:
        differences.append(column[0])
        differences.extend(map(sub, column[1:], column))
    return b64encode(zlib.compress(differences.tobytes(), LEVEL)).decode()


def unpack(text: str, width: int) -> list[tuple[int, ...]]:
    """The rows of a text.

    Raises:
        ValueError: The text is damaged.
    """
    differences = array("q")
    try:
        differences.frombytes(zlib.decompress(b64decode(text)) if text else b"")
    except zlib.error as exc:
        raise ValueError(f"packed numbers: {exc}") from exc
    count, rest = divmod(len(differences), width)
    if rest:
        raise ValueError(f"packed numbers: {len(differences)} of them are no rows of {width}")
    columns = (accumulate(differences[count * column : count * (column + 1)]) for column in range(width))
    return list(zip(*columns, strict=True))
