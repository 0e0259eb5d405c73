"""Runs in an interpreter of Python 3.15 or later: dumps processes without the time that its imports take.

Each line of its input has the arguments of ``profiling.sampling`` as a JSON list: ``["dump", "-a", "4711"]``.
Each answer is one line of JSON: the exit status, what it printed, and its errors. It ends with its input.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import runpy
import sys

NAME = "profiling.sampling"


def answer(arguments: list[str]) -> tuple[int, str, str]:
    """Run the command line as ``python -m profiling.sampling`` does: status, output and errors."""
    sys.argv = [NAME, *arguments]
    printed, errors = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            runpy.run_module(NAME, run_name="__main__")
        except SystemExit as exc:
            status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
            errors.write(exc.code if isinstance(exc.code, str) else "")
    return status, printed.getvalue(), errors.getvalue()


def main() -> None:
    """Answer until the input ends."""
    for module in ("cli", "dump"):
        importlib.import_module(f"{NAME}.{module}")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
