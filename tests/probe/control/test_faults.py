"""Faults inside a real process: what they leave of it, wherever it goes on."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.drive import control
from harness.errors import TargetError
from harness.record.fault import tally
from harness.record.fault.board import FaultBoard
from tests.support.process import Piped
from tests.support.watched import outcome, start

PROGRAM = """
    import asyncio, os, sys, traceback

    class Shop:
        @staticmethod
        def total(n):
            return n

        async def sell(self):
            return "sold"

    own = dict(vars(Shop))
    codes = {"total": Shop.total.__code__, "sell": Shop.sell.__code__}

    def sell_alone():
        # In a child that is a process of its own: no loop of the parent's runs in it.
        asyncio._set_running_loop(None)

        async def sell():
            await Shop().sell()

        try:
            asyncio.run(sell())
        except ConnectionError:
            os._exit(7)
        os._exit(0)

    async def main():
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await do(line)

    async def do(line):
        scope = {}
        exec("async def act():\\n " + line, globals(), scope)
        print(await scope["act"](), flush=True)

    asyncio.run(main())
"""


class Target:
    """A running program, its control socket and what it says."""

    def __init__(self, process: Piped, sockets: Path) -> None:
        self.process = process
        self.sockets = sockets

    def do(self, statement: str) -> str:
        """Have the program execute a statement in a coroutine; what it returned, as text."""
        self.process.stdin.write(statement + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip()

    async def inject(self, **fault: object) -> None:
        await control.ask(self.sockets, {"do": "inject", "kind": "call.fail", **fault})

    async def heal(self, fault_id: str) -> object:
        (answer,) = await control.ask(self.sockets, {"do": "heal", "id": fault_id})
        return answer["fired"]


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with tempfile.TemporaryDirectory(prefix="harness-test-") as sockets:
        process, folder = start(PROGRAM, tmp_path, control=sockets)
        assert process.stdout.readline() == "ready\n"
        yield Target(process, Path(sockets))
        assert outcome(process, folder).status == 0


async def test_a_static_method_misbehaves_and_is_put_back_as_it_was(target: Target) -> None:
    """A static method stays the same object, and afterwards it has its own code."""
    await target.inject(id="a", **{"in": "__main__:Shop.total"}, kind="block.sleep", block_ms=1)

    looks = "return Shop.total(7), vars(Shop)['total'] is own['total'], Shop.total.__code__ is codes['total']"
    assert target.do(looks) == "(7, True, False)"
    assert await target.heal("a") == 1
    assert target.do(looks) == "(7, True, True)"


async def test_what_replaces_a_function_looks_like_it(target: Target) -> None:
    """Name, qualified name, file and first line are those of the function."""
    looks = "c.co_name, c.co_qualname, c.co_filename, c.co_firstlineno"
    await target.inject(id="a", **{"in": "__main__:Shop.sell"})

    assert target.do(f"c = Shop.sell.__code__; return {looks}") == target.do(
        f"c = codes['sell']; return {looks}"
    )
    assert target.do("return asyncio.iscoroutinefunction(Shop.sell)") == "True"


async def test_a_forked_child_has_no_fault(target: Target) -> None:
    """The child's function is the program's own; the parent's still misbehaves."""
    await target.inject(id="a", **{"in": "__main__:Shop.sell"})
    is_own = "Shop.sell.__code__ is codes['sell']"
    child = f"pid = os.fork(); pid or os._exit({is_own}); return os.waitpid(pid, 0)[1] >> 8"

    assert target.do(child) == "1"
    assert target.do(f"return {is_own}") == "False"
    assert await target.heal("a") == 0


async def test_a_forked_child_that_runs_a_loop_gets_the_faults_in_force(target: Target) -> None:
    """Its calls and hits are counted with those of its parent."""
    fault = {"id": "a", "kind": "call.fail", "in": "__main__:Shop.sell", "limit": 5, "seed": 1}
    FaultBoard(target.sockets).post(fault)
    await target.inject(**fault)
    child = "pid = os.fork(); pid or sell_alone(); return os.waitpid(pid, 0)[1] >> 8"

    assert target.do(child) == "7"
    assert await target.heal("a") == 0
    assert tally.read(target.sockets, "a") == tally.Tally(processes=2, calls=1, fired=1)


async def test_forks_right_after_a_request_leave_the_process_its_control_socket(target: Target) -> None:
    """The thread that has answered may be in the middle of closing the connection."""
    child = "pid = os.fork(); pid or os._exit(7); return os.waitpid(pid, 0)[1] >> 8"
    for number in range(60):
        await target.inject(id=str(number), **{"in": "__main__:Shop.sell"})

        assert target.do(child) == "7"
        assert await target.heal(str(number)) == 0


@pytest.mark.parametrize(
    ("place", "more", "why"),
    [
        ("__main__:Shop.nothing", {}, "LookupError: __main__:Shop.nothing: __main__ has no Shop.nothing"),
        ("nowhere_at_all:f", {}, "ModuleNotLoadedError: the program has no module nowhere_at_all"),
        ("__main__:Shop", {}, "TypeError: __main__:Shop is a class, not a Python function"),
        ("__main__:Shop.sell", {"raises": "builtins:len"}, "TypeError: builtins:len is not an exception"),
        (
            "__main__:Shop.sell",
            {"raises": "builtins:UnicodeDecodeError"},
            "TypeError: builtins:UnicodeDecodeError cannot be made from a message alone",
        ),
        (
            "__main__:Shop.sell",
            {"raises": "shop:Sold"},
            "ModuleNotLoadedError: the program has no module shop",
        ),
        ("__main__:Shop.sell", {"kind": "earthquake"}, "ValueError: no fault of the kind 'earthquake'"),
    ],
)
async def test_a_fault_that_cannot_be_is_refused(
    target: Target, place: str, more: dict[str, str], why: str
) -> None:
    """The answer says why, and nothing is replaced."""
    with pytest.raises(TargetError) as caught:
        await target.inject(id="a", **{"in": place}, **more)

    assert str(caught.value).startswith(why)
    assert target.do("return dict(vars(Shop)) == own and Shop.sell.__code__ is codes['sell']") == "True"


async def test_as_many_faults_as_a_scenario_has_come_at_once(target: Target) -> None:
    """Each is injected, and each is healed; none of the connections waits in vain."""
    names = [f"fault-{number}" for number in range(40)]
    await asyncio.gather(
        *(target.inject(id=name, **{"in": "__main__:Shop.total", "probability": 1e-9}) for name in names)
    )
    healed = await asyncio.gather(*(target.heal(name) for name in names))

    assert healed == [0] * 40
