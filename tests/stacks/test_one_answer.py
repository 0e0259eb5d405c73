"""One stack has one line to blame, whoever asks: report, console, `--calls`, and the views from outside."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from harness.commands.external_sampling import blamed_lines
from harness.console.view.block_summary import BlockSummary
from harness.drive.stall_view import StallView
from harness.probe import code_paths
from harness.probe.calls.callsite import CallSite, name_of
from harness.probe.threads.stack import stack_of
from harness.read.blocks.detect import blocks
from harness.read.history import in_memory
from harness.record.event import Blocked, Frame, FrameTable, LoopStarted, Sample, Sampled, ThreadDump
from harness.record.process.console_endpoint import ConsoleEndpoint
from harness.record.run import Run
from harness.stacks.diagnosis import diagnose
from harness.stacks.ownership import CodeOwnership

LIMIT_NS = 50_000_000
RUN = Run("r", "watch", "", 0, 0, "", "", (), LIMIT_NS)
SITE = sysconfig.get_path("purelib")

# Each calls the next function of its argument: in a comprehension, on its third line.
CALL = "def {name}(rest):\n    return rest[0](rest[1:])\n"
LISTED = "def {name}(rest):\n    return [\n        rest[0](rest[1:]) for _ in range(1)\n    ]\n"
GENERATED = (
    "def {name}(rest):\n    return max(\n        (rest[0](rest[1:]) for _ in range(1)), key=id\n    )\n"
)


def compiled(file: str, name: str, source: str) -> Callable[..., object]:
    """A function of that name, as if it stood in *file*."""
    scope: dict[str, Callable[..., object]] = {}
    exec(compile(source.format(name=name), file, "exec"), scope)
    return scope[name]


def bare(stack: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """The stack as py-spy reads it: functions by their unqualified names."""
    return tuple(frame._replace(function=frame.function.rpartition(".")[2]) for frame in stack)


def turn(stack: tuple[Frame, ...]) -> Blocked:
    """A late turn that was seen in that stack all the time, in a sleep."""
    first_ns, last_ns = LIMIT_NS // 2, 4 * LIMIT_NS
    seen = Sample(first_ns, last_ns, 20, stack, "task", "f", "", "", "", syscall="clock_nanosleep")
    return Blocked(0, 4 * LIMIT_NS, True, 1, 0, (seen,), (), 0)


def answers(frame: FrameType, application: str) -> dict[str, tuple[str, int, str]]:
    """The file, line and bare function that each of the callers names for the stack of *frame*."""
    stack = stack_of(frame)
    ownership = CodeOwnership(code_paths.application([application]), code_paths.libraries())
    started = LoopStarted(
        0, 1, 0, "", "MainThread", "select", "", LIMIT_NS, ownership.application, ownership.libraries
    )
    endpoint = ConsoleEndpoint(
        1, 0, (), "", "", None, "", (), "", "", ownership.application, ownership.libraries
    )
    (block,) = blocks(in_memory(RUN, [started, turn(stack)]))
    (found,) = diagnose(turn(stack), ownership, limit_ns=LIMIT_NS)
    site = CallSite([application]).find(frame)
    assert site is not None
    holder = ThreadDump("MainThread", 1, True, True, bare(stack))
    callers = tuple(range(len(stack)))
    table = FrameTable(0, 1, 1, callers, bare(stack))
    sampled = Sampled(0, 1, "MainThread", "outside", 100, len(stack), 1, "", "", "", "", "")
    (((sampled_frame, _), _),) = blamed_lines(in_memory(RUN, [started, table, sampled])).items()
    named = {
        "report": Frame(block.file, block.line, block.function),
        "console": BlockSummary(turn(stack), found).place[0],
        "--calls": Frame(site.f_code.co_filename, site.f_lineno, name_of(site).partition(":")[2]),
        "attach": StallView(endpoint, 1.0, "", (), holder, "").blamed() or Frame("", 0, ""),
        "attach --sample": sampled_frame,
    }
    return {who: (f.file, f.line, f.function.rpartition(".")[2]) for who, f in named.items()}


CALLERS = ("report", "console", "--calls", "attach", "attach --sample")
APP = "/srv/shop/cart.py"
VENDOR = f"{SITE}/vendor/client.py"
IMPORTLIB = f"{Path(asyncio.__file__).parents[1]}/importlib/__init__.py"
STACKS = {
    "the program's innermost code": (
        [(APP, "handle", CALL), (VENDOR, "post", CALL), (APP, "on_reply", CALL), (VENDOR, "parse", CALL)],
        (APP, 2, "on_reply"),
    ),
    "a list comprehension": ([(APP, "total", LISTED), (VENDOR, "price", CALL)], (APP, 3, "total")),
    "a generator expression": ([(APP, "total", GENERATED), (VENDOR, "price", CALL)], (APP, 3, "total")),
    "an import is blamed on the code that asked for it": (
        [
            (APP, "load", CALL),
            ("<frozen importlib._bootstrap>", "_find_and_load", CALL),
            ("/srv/shop/plugin.py", "read_rates", CALL),
        ],
        (APP, 2, "load"),
    ),
    "importlib.import_module is a part of an import": (
        [
            (VENDOR, "plugins", CALL),
            (f"{Path(asyncio.__file__).parents[1]}/importlib/__init__.py", "go", CALL),
        ],
        (VENDOR, 2, "plugins"),
    ),
    "code that is nobody's goes before a library's": (
        [(VENDOR, "render", CALL), ("<template>", "root", CALL), (VENDOR, "escape", CALL)],
        ("<template>", 2, "root"),
    ),
    "a library alone: its innermost function, not what started the loop": (
        [(VENDOR, "serve", CALL), (VENDOR, "accept", CALL)],
        (VENDOR, 2, "accept"),
    ),
    "the harness's own code is never to blame": (
        [
            (APP, "handle", CALL),
            (str(Path(code_paths.__file__).with_name("x.py")), "act", CALL),
            (VENDOR, "f", CALL),
        ],
        (APP, 2, "handle"),
    ),
    "a folder that only looks like the harness's": (
        [("/srv/shop/harness/probe/mine.py", "mine", CALL), (VENDOR, "f", CALL)],
        ("/srv/shop/harness/probe/mine.py", 2, "mine"),
    ),
}


@pytest.mark.parametrize(("calls", "blamed"), STACKS.values(), ids=STACKS)
def test_whoever_asks_gets_the_same_line(
    calls: list[tuple[str, str, str]], blamed: tuple[str, int, str]
) -> None:
    """Each of those that name a line names this one, for a real stack below a running loop."""

    named: list[dict[str, tuple[str, int, str]]] = []

    def look(_: object) -> None:
        named.append(answers(sys._getframe(1), "/srv/shop"))

    async def run() -> None:
        # As a callback: the turn begins in asyncio, and not in the coroutine of this test.
        first, *rest = (*(compiled(*call) for call in calls), look)
        asyncio.get_running_loop().call_soon(first, rest)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert named == [dict.fromkeys(CALLERS, blamed)]
