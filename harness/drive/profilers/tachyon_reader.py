"""Runs in an interpreter of Python 3.15 or later: prints a binary recording as stacks with their counts.

Its arguments are the recording and the file to write: one line of JSON for each stack, with the native id of
the thread, the number of samples, and the frames, outermost first, as file, line and function.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from profiling.sampling.binary_reader import BinaryReader  # type: ignore[import-not-found]


class StackCounter:
    """Receives the samples of a recording."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, tuple[tuple[str, int, str], ...]]] = Counter()

    def collect(self, interpreters: Any, timestamps_us: Any = None) -> None:
        """Count the stacks of one moment, or of several that are equal."""
        weight = len(timestamps_us) if timestamps_us else 1
        for interpreter in interpreters:
            for thread in interpreter.threads:
                stack = tuple(_frame(frame) for frame in reversed(thread.frame_info or ()))
                if stack:
                    self.counts[thread.thread_id, stack] += weight

    def collect_failed_sample(self) -> None:
        """Called for a sample that could not be read."""


def _frame(frame: Any) -> tuple[str, int, str]:
    file, location, function = frame[0], frame[1], frame[2]
    line = 0 if location is None else int(location if isinstance(location, int) else location[0] or 0)
    return ("", 0, function) if file == "~" else (file, line, function)


def main(recording: str, output: str) -> None:
    """Read *recording* and write *output*."""
    counter = StackCounter()
    with BinaryReader(recording) as reader:
        reader.replay_samples(counter)
    with Path(output).open("w", encoding="utf-8", errors="backslashreplace") as file:
        for (thread, stack), count in counter.counts.items():
            file.write(json.dumps([thread, count, stack]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
