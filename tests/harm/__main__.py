"""Makes every function of the probe raise, in every phase of a program: ``python -m tests.harm [--each]``.

A first run finds the functions that the program reaches, each with the phases in which it does. Then every
one of them raises in one of the further programs, or, with ``--each``, in one of its own. Each program must
have the output and the status of the bare one. This takes minutes.
"""

from __future__ import annotations

import argparse
import difflib
import itertools
import random
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.record.event import ProbeFailed
from tests.harm.sabotage import ENDINGS, Point, Ran, Sabotaged, bare, sabotaged
from tests.support.pythons import SUPPORTED, find_python


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=100)
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--python", nargs="*")
    asked = parser.parse_args()
    pythons = asked.python or [p for v in SUPPORTED if (p := find_python(v))]
    return max(_harm(python, asked) for python in pythons)


def _harm(python: str, asked: argparse.Namespace) -> int:
    root = Path(tempfile.mkdtemp(prefix="harm-"))
    bares = {ending: bare(ending, python) for ending in ENDINGS}
    points: dict[Point, str] = {}
    for ending in ENDINGS:
        folder = root / ending
        first = sabotaged(ending, folder, python=python)
        points |= dict.fromkeys(first.seen, ending)
        if first.ran != bares[ending]:
            print(_difference(bares[ending], first.ran))
            return 1
    groups = _groups(sorted(points), len(points) if asked.each else asked.programs, asked.seed)
    count = len(groups)

    def one(number: int, group: list[Point]) -> tuple[list[Point], str, Sabotaged]:
        # A function that only one ending reaches must have that ending.
        ending = points[group[0]] if len(group) == 1 else ENDINGS[number % len(ENDINGS)]
        folder = root / str(number)
        return group, ending, sabotaged(ending, folder, group, python=python)

    harmed = raised = named = 0
    with ThreadPoolExecutor(asked.jobs) as pool:
        for group, ending, done in pool.map(one, itertools.count(), groups):
            raised += len(done.raised)
            named += bool(done.of(ProbeFailed))
            if done.ran != bares[ending]:
                harmed += 1
                print(f"HARM by {group} at {ending}\n{_difference(bares[ending], done.ran)}", flush=True)
    print(
        f"{python}: {len(points)} points, {raised} raised in {count} programs, {harmed} of which differ "
        f"from bare; {named} records name an error",
        flush=True,
    )
    return int(harmed > 0)


def _groups(points: list[Point], count: int, seed: int) -> list[list[Point]]:
    """Points of one phase each: an error in an earlier one would keep the later ones from being reached."""
    chance = random.Random(seed)
    chance.shuffle(points)
    groups: list[list[Point]] = []
    for phase in sorted({phase for _, phase in points}):
        there = [point for point in points if point[1] == phase]
        parts = max(1, round(count * len(there) / len(points)))
        groups += [there[start::parts] for start in range(parts)]
    return groups


def _difference(expected: Ran, got: Ran) -> str:
    parts = [f"status {expected.status} -> {got.status}"]
    for before, after in ((expected.stdout, got.stdout), (expected.stderr, got.stderr)):
        parts += difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
