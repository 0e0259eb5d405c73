"""Puts faults into the code, one at a time, and runs the tests that should notice.

    python -m tools.mutations --known                            the faults that slipped through before
    python -m tools.mutations harness/read --count 20 --seed 7   faults chosen by chance in a room

Nothing is changed in the checkout: the faults are tried in a copy. Exit status 0 if every fault was noticed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .known import known
from .mutation import Mutation, mutations
from .scratch import Scratch
from .test_choice import groups

CHECKOUT = Path(__file__).parents[2]


def main() -> int:
    """Try the faults that were asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.mutations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("rooms", nargs="*", metavar="PATH", help="folders or files of the code")
    parser.add_argument(
        "--known", action="store_true", help="the known faults, of these rooms if any are named"
    )
    parser.add_argument("--only", metavar="NAME", help="only known faults whose name contains this")
    parser.add_argument("--count", type=int, default=20, metavar="N", help="faults in each room  [20]")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same faults  [0]")
    parser.add_argument("-n", type=int, default=2, dest="processes", metavar="N", help="as in pytest -n  [2]")
    parser.add_argument("--list", action="store_true", help="show the faults, and try none")
    options = parser.parse_args()
    if not options.rooms and not options.known:
        parser.error("name a room, or --known")
    chosen = list(_known(options) if options.known else _by_chance(options))
    if options.list:
        _say(*(str(mutation) for mutation, _ in chosen))
        return 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        return _tried(chosen, Scratch(CHECKOUT, Path(folder), processes=options.processes))


def _known(options: argparse.Namespace) -> Iterator[tuple[Mutation, tuple[str, ...]]]:
    for mutation, tests in known(CHECKOUT):
        is_here = not options.rooms or any(
            mutation.file.startswith(room.rstrip("/")) for room in options.rooms
        )
        if is_here and (options.only or "") in mutation.name:
            yield mutation, tests


def _by_chance(options: argparse.Namespace) -> Iterator[tuple[Mutation, tuple[str, ...]]]:
    for room in options.rooms:
        place = CHECKOUT / room
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        every = [
            mutation for file in files for mutation in mutations(CHECKOUT, str(file.relative_to(CHECKOUT)))
        ]
        for mutation in random.Random(f"{options.seed} {room}").sample(every, min(options.count, len(every))):
            yield mutation, ()


def _tried(chosen: Sequence[tuple[Mutation, tuple[str, ...]]], scratch: Scratch) -> int:
    survivors = 0
    for mutation, tests in chosen:
        began = time.monotonic()
        of_each = (_noticed(mutation, group, scratch) for group in _groups(tests, scratch, mutation))
        by = next(filter(None, of_each), "")
        survivors += not by
        _say(f"{'noticed ' if by else 'SURVIVED'} {time.monotonic() - began:4.0f} s  {mutation}")
        if by:
            _say(f"                 by {by}")
    _say(f"{len(chosen) - survivors} of {len(chosen)} faults were noticed")
    return 1 if survivors else 0


def _groups(tests: tuple[str, ...], scratch: Scratch, mutation: Mutation) -> Iterator[list[str]]:
    return iter([list(tests)]) if tests else groups(scratch.root, mutation.file)


def _noticed(mutation: Mutation, tests: list[str], scratch: Scratch) -> str:
    """The test that notices; "" for none.

    A test that fails without the fault, too, has noticed nothing; nor has one that fails with it only once,
    as a test of times may on a busy machine.
    """
    by_chance: list[str] = []
    while True:
        with scratch.changed(mutation):
            run = scratch.test(tests, without=by_chance)
        if run.passed:
            return ""
        by = run.failures[0] if run.failures else "a run that names no test"
        if "::" not in by:
            return by
        if not scratch.test([by]).passed:
            scratch.left_out.append(by)
            continue
        with scratch.changed(mutation):
            if not scratch.test([by]).passed:
                return by
        by_chance.append(by)


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
