"""Runs healthy programs that look like troubles, and prints what is said of them: `python -m tests.healthy`.

Each runs under a ``harness watch`` of its own, beside processes that keep the machine busy. Nothing may be
said of any that is more than a note. Ends with 1 if something was. All of them take some three minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.healthy.roster import roster
from tests.healthy.trial import busy_machine, tried


def main() -> int:
    """Run the asked programs as often as asked; 1 if any was not clean."""
    parser = argparse.ArgumentParser("python -m tests.healthy", description=__doc__, allow_abbrev=False)
    parser.add_argument("name", nargs="*", help="of programs, or parts of names such as `standstills.`")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--hogs", type=int, default=2, help="processes that use a processor each")
    parser.add_argument("--jobs", type=int, default=6, help="programs at the same time")
    parser.add_argument("--keep", type=Path, help="folder for the records, in which they stay")
    asked = parser.parse_args()
    programs = roster(*asked.name)
    wrong: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="healthy-") as own, busy_machine(asked.hogs):
        root = asked.keep or Path(own)
        with ThreadPoolExecutor(asked.jobs) as lanes:
            runs = [
                lanes.submit(tried, program, root / f"{program.title}-{number}")
                for number in range(asked.times)
                for program in programs
            ]
            for run in as_completed(runs):
                if (trial := run.result()).is_clean:
                    continue
                wrong[trial.program.title] += 1
                print(f"{trial.program.title}: status {trial.status}", flush=True)
                for said in trial.said or (trial.stderr[-2000:],):
                    print(f"    {said}", flush=True)
    print(f"{len(runs) - wrong.total()} of {len(runs)} runs of {len(programs)} programs clean")
    for title, times in wrong.most_common():
        print(f"    {times} × {title}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
