"""Make `reports/sample` and its picture anew: `python tools/sample.py`, on a quiet machine, with chromium.

Two runs of `scenarios/first.toml`, with its faults and without. Nothing is kept if the machine was too busy:
the sample shows the planted fault and nothing else. The README's quotation of it is changed by hand.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
KEPT = REPORTS / "sample"
PICTURE = ROOT / "docs/report.png"
SIZE = "1200,1350"  # the verdict, the checks, and the line that blocked
QUIET = ("--set", "faults=[]", "--set", 'expect."blocks.count"="== 0"')


def main() -> None:
    folders = REPORTS / "with-faults", REPORTS / "before"
    for folder, options in zip(folders, ((), QUIET), strict=True):
        shutil.rmtree(folder, ignore_errors=True)
        _harness("run", "scenarios/first.toml", "--sample", "--waits", "1", "--out", str(folder), *options)
        blocks = json.loads((folder / "report.json").read_text())["blocks"]
        if any(block["fault"] is None for block in blocks):
            sys.exit(f"{folder}: a block that no fault has planted; try again on a quieter machine")
    ran, before = folders
    _harness("report", str(ran), "--against", str(before))
    (compared,) = ran.glob("report-against-*.html")
    for source, name in ((ran / "report.html", "report.html"), (compared, "report-against-before.html")):
        shutil.copy(source, KEPT / name)
    shutil.copy(ran / "report.json", KEPT)
    _screenshot(KEPT / "report.html")


def _harness(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "harness", *arguments], cwd=ROOT, check=True)


def _screenshot(page: Path) -> None:
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={SIZE}")
    # The page draws itself with JavaScript.
    drawn = ("--virtual-time-budget=5000", f"--screenshot={PICTURE}")
    subprocess.run(["chromium", *options, *drawn, page.as_uri()], check=True)


if __name__ == "__main__":
    main()
