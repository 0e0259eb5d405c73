"""Why a program of the run was not watched, what that may have cost, and what to do about it.

The reason is what was seen of the process: its command, its environment, its files. Nothing is assumed.
"""

from __future__ import annotations

import pwd
import re
from dataclasses import dataclass
from pathlib import PurePath

from ...record.event import ProcessExamined
from .program import Program

# The probe works from this version on.
OLDEST = (3, 11)
# asyncio came with this one.
_FIRST_ASYNCIO = (3, 4)
_INTERPRETER = re.compile(r"(?:python|pypy|graalpy)[\d.]*t?(?:-dbg|d)?")
_LOOPS = frozenset({"_asyncio", "uvloop", "rloop"})
# A Python whose `_asyncio` cannot be seen, and that lived for less than this, had no time to import asyncio.
_TOO_SHORT_NS = 50_000_000
# Options of Python that take the next word, or the rest of theirs.
_WITH_VALUE, _LAST = "WX", "cm"
_IGNORES = {
    "I": "-I (isolated mode), which ignores PYTHONPATH",
    "E": "-E, which ignores PYTHONPATH",
    "S": "-S, which skips the start-up files of Python",
}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a program was not watched."""

    text: str  # completes "it was not watched: ..."
    remedy: str = ""  # what to do, in the imperative; "" for nothing
    may_have_looped: bool = False  # an event loop may have run in it, of which nothing is known


def reason(program: Program) -> Reason | None:
    """The reason; `None` for a program with a loop that was timed."""
    if program.is_timed:
        return None
    return _inside(program) if program.is_entered else _outside(program)


def _inside(program: Program) -> Reason:
    """The probe was in it, and timed no loop."""
    if program.loops:
        kind = program.loops[0].started.kind
        return Reason(f"the turns of {kind} could not be timed", may_have_looped=True)
    if program.failure:
        return Reason(f"the probe failed in it: {program.failure}", may_have_looped=True)
    if unable := program.fact("unable"):
        return Reason(f"the probe was in it, but {unable[-1]}", may_have_looped=True)
    if frameworks := list(dict.fromkeys(program.fact("framework"))):
        names = " and ".join(frameworks)
        text = f"its event loop was {names}'s own, and only asyncio's are timed"
        remedy = "install its asyncio reactor" if names == "Twisted" else ""
        return Reason(text, remedy, may_have_looped=True)
    return Reason("no event loop ran in it")


def _outside(program: Program) -> Reason:
    """The probe was not in it."""
    if left_out := program.fact("left_out"):
        return Reason(left_out[-1])
    if barred := program.fact("barred"):
        return Reason(barred[-1], may_have_looped=True)
    seen = program.examined
    executable = program.found.executable if program.found else ""
    name = PurePath(executable or (program.command or ("",))[0]).name
    if seen is None:
        # Of a process that was found at its very end, not even the name of its file is known.
        if not name or _INTERPRETER.fullmatch(name):
            return Reason("it ended before it could be examined")
        return Reason("it is not a Python program")
    version = _version(seen.python)
    if version < OLDEST[: len(version)]:
        may = version >= _FIRST_ASYNCIO[: len(version)] and _may_have_looped(program, seen)
        return Reason(
            f"it runs Python {seen.python}, and the probe needs 3.11 or later",
            "run it with a later Python",
            may,
        )
    text, remedy = _why_no_probe(program, seen, name)
    return Reason(text, remedy, _may_have_looped(program, seen))


def _why_no_probe(program: Program, seen: ProcessExamined, name: str) -> tuple[str, str]:
    clues, enable = seen.clues, f"run `harness enable {_environment(program)}` once"
    if any(clue.startswith(("_MEI", "_PYI_")) for clue in clues) and seen.embedded:
        return (
            "it was frozen by PyInstaller, whose Python ignores PYTHONPATH",
            "run the program unfrozen",
        )
    if seen.embedded and not _INTERPRETER.fullmatch(name):
        return (
            f"its Python is built into {name}, which did not read the harness's start-up file",
            "run the program by an ordinary Python",
        )
    options = python_options(program.command)
    pex = any("PEX" in clue for clue in clues) or any(word.endswith(".pex") for word in program.command)
    for letter in "SIE":
        if letter in options:
            by = "PEX started it" if pex else "it was started"
            without = f"start it without -{letter}"
            if letter == "S":
                return f"{by} with {_IGNORES[letter]}", without
            return f"{by} with {_IGNORES[letter]}", f"{without}, or {enable}"
    if seen.barred:
        return (
            f"it runs as {_user(program)}, who may not use {seen.barred}",
            "give that user access, or name another folder with --out",
        )
    match seen.order, seen.path:
        case "unreadable", _:
            return f"its environment may not be read, as it runs as {_user(program)}", enable
        case "another", _:
            return "it belongs to another run of the harness, inside of this one", ""
        case "missing", _ if "TOX_ENV_NAME" in clues:
            return (
                "tox did not pass HARNESS_PROBE and PYTHONPATH on",
                f"add both to pass_env in tox's configuration, or {enable}",
            )
        case "missing", _:
            return (
                "its environment was replaced: HARNESS_PROBE is not in it",
                f"pass HARNESS_PROBE and PYTHONPATH on, or {enable}",
            )
        case _, "missing":
            return (
                "PYTHONPATH was replaced: the harness's folder is not in it",
                f"add to PYTHONPATH instead of replacing it, or {enable}",
            )
        case _, "later":
            return (
                "another sitecustomize stands before the harness's on PYTHONPATH, and does not run it",
                f"put the harness's folder first, or {enable}",
            )
    if program.forked_from is not None and program.forked_from.is_entered:
        return "it was forked by compiled code, of which the probe was not told", ""
    return "the probe did not come in, for a reason that is not known", enable


def _may_have_looped(program: Program, seen: ProcessExamined) -> bool:
    if _LOOPS.intersection(seen.mapped) or seen.polls:
        return True
    lived_ns = program.lived_ns
    return not seen.shows_asyncio and (lived_ns is None or lived_ns > _TOO_SHORT_NS)


def python_options(command: tuple[str, ...]) -> str:
    """The letters of the options that Python itself was given: "I" for ``python -I prog.py -E``."""
    letters = ""
    words = iter(command[1:])
    for word in words:
        if not word.startswith("-") or word in ("-", "--"):
            break
        if word.startswith("--"):
            continue
        for place, letter in enumerate(word[1:], 1):
            letters += letter
            if letter in _LAST:
                return letters
            if letter in _WITH_VALUE:
                if place == len(word) - 1:
                    next(words, None)
                break
    return letters


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _environment(program: Program) -> str:
    """The virtual environment of its interpreter, as far as its command tells."""
    path = PurePath(program.command[0] if program.command else "")
    if path.parent.name == "bin" and path.is_absolute() and _INTERPRETER.fullmatch(path.name):
        return str(path.parent.parent)
    return "VENV"


def _user(program: Program) -> str:
    uid = program.found.uid if program.found is not None else None
    if uid is None:
        return "another user"
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
