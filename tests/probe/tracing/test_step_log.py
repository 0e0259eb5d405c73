"""What the log of steps leaves alone, which traces it takes, and when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.event import ProbeFailed, SpanEnded, StepLogUnavailable, StepsTaken
from harness.record.probe_config import ProbeConfig
from tests.probe.tracing.conftest import Tell
from tests.support.watched import watched

TRACED = """
    import asyncio, gc, sys, time, weakref
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    span = trace.get_tracer("test").start_as_current_span
"""


def test_an_order_keeps_its_share_and_window() -> None:
    """What is asked for reaches the probe through the text of the order."""
    order = ProbeConfig("/run", limit_ns=1, waits=0.25, waits_for_s=2.5)

    assert ProbeConfig.parse(order.text()) == order


def test_nothing_is_logged_unless_asked_for(tell: Tell) -> None:
    """A program that is only watched runs asyncio's own steps, and its report has no table of waits."""
    told = tell(
        TRACED
        + """
    async def main():
        with span("work"):
            await asyncio.sleep(0)
        print(asyncio.Handle._run.__code__.co_filename)

    asyncio.run(main())
    """
    )

    assert Path(told.outcome.stdout.strip()).name == "events.py"
    assert told.waits is None
    assert told.segments("work") == ()


def test_everything_is_put_back(tell: Tell) -> None:
    """After its loop has stopped a program has asyncio's own functions again, and the executors' own work."""
    told = tell(
        TRACED
        + """
    from concurrent.futures import thread

    def functions():
        loop = asyncio.BaseEventLoop
        return asyncio.Handle._run, loop.call_soon, loop._call_soon, loop.call_soon_threadsafe

    async def main():
        with span("work"):
            await asyncio.sleep(0)
        return functions()

    before = functions()
    during = asyncio.run(main())
    print(before == functions(), set(before).isdisjoint(during))
    """,
        waits=1.0,
    )

    assert told.outcome.stdout.split() == ["True", "True"]


def test_loops_one_after_the_other_are_one_log(tell: Tell) -> None:
    """A program that runs a loop for each of its jobs has all their spans decomposed."""
    told = tell(
        TRACED
        + """
    async def job(name):
        with span(name):
            await asyncio.sleep(0.01)

    for number in range(3):
        asyncio.run(job(f"job {number}"))
    """,
        waits=1.0,
    )

    assert [told.parts_ms(f"job {number}")["timer"] >= 5 for number in range(3)] == [True] * 3


def test_tasks_live_no_longer_than_they_would(tell: Tell) -> None:
    """What a step has run is gone as soon as the program lets go of it."""
    told = tell(
        TRACED
        + """
    class Large: pass

    async def work(large):
        with span("work"):
            await asyncio.sleep(0)

    async def main():
        large = Large()
        gone = weakref.ref(large)
        task = asyncio.create_task(work(large))
        await task
        ended = weakref.ref(task)
        del large, task
        await asyncio.sleep(0)
        print(gone(), ended())

    gc.disable()
    asyncio.run(main())
    """,
        waits=1.0,
    )

    assert told.outcome.stdout.split() == ["None", "None"]


FAILING = (
    TRACED
    + """
    def broken():
        raise ValueError("broken callback")

    async def main():
        with span("work"):
            asyncio.get_running_loop().call_soon(broken)
            cancelled = asyncio.get_running_loop().call_soon(print, "never")
            cancelled.cancel()
            print(repr(cancelled))
            await asyncio.sleep(0)

    asyncio.run(main(), debug=len(sys.argv) > 1)
"""
)


def test_a_callback_that_raises_is_reported_as_without(tell: Tell) -> None:
    """asyncio's report of a broken callback shows the program's frames and asyncio's, and its handles."""
    told = tell(FAILING, waits=1.0)

    assert "ValueError: broken callback" in told.outcome.stderr
    assert "stepping.py" not in told.outcome.stderr
    assert told.outcome.stdout == "<Handle cancelled>\n"


def test_a_loop_that_is_closed_says_so_as_without(tell: Tell) -> None:
    """The traceback of a callback that came too late goes from the program right into asyncio."""
    told = tell(
        TRACED
        + """
    import traceback

    async def main():
        other = asyncio.new_event_loop()
        other.close()
        with span("work"):
            try:
                other.call_soon(print)
            except RuntimeError as exc:
                print([frame.name for frame in traceback.extract_tb(exc.__traceback__)])

    asyncio.run(main())
    """,
        waits=1.0,
    )

    assert told.outcome.stdout.strip() == "['main', 'call_soon', '_check_closed']"


def test_a_loop_with_a_way_of_its_own_goes_it(tell: Tell) -> None:
    """A class of loop that makes its handles ready itself is asked to, and its spans are decomposed."""
    told = tell(
        TRACED
        + """
    class Loop(asyncio.SelectorEventLoop):
        made = 0

        def _call_soon(self, callback, args, context):
            Loop.made += 1
            return super()._call_soon(callback, args, context)

    async def main():
        before = Loop.made
        with span("work"):
            for _ in range(10):
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
        print(Loop.made - before >= 10)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())
    """,
        waits=1.0,
    )

    assert told.outcome.stdout.strip() == "True"
    assert told.parts_ms("work")["timer"] >= 20


def test_debug_mode_goes_on_to_work(tell: Tell) -> None:
    """In asyncio's debug mode a handle tells where it was made, and that is the program."""
    told = tell(FAILING.replace("len(sys.argv) > 1", "True"), waits=1.0)

    assert "created at" in told.outcome.stdout
    assert "program.py" in told.outcome.stdout.partition("created at")[2]
    assert not told.outcome.of(ProbeFailed)


def test_a_share_takes_whole_traces(tell: Tell) -> None:
    """Of many traces the share asked for is decomposed: all spans of a chosen one, none of another."""
    told = tell(
        TRACED
        + """
    async def child():
        with span("child"):
            await asyncio.sleep(0)

    async def main():
        for _ in range(300):
            with span("root"):
                await asyncio.create_task(child())

    asyncio.run(main())
    """,
        waits=0.25,
    )
    chosen: dict[str, set[bool]] = {}
    for span in told.history.of(SpanEnded):
        chosen.setdefault(span.trace_id, set()).add(told.decomposed.parts(span.span_id) is not None)

    assert {len(answers) for answers in chosen.values()} == {1}
    assert 35 < sum(True in answers for answers in chosen.values()) < 120
    assert told.waits is not None
    assert told.waits.share == 0.25


def test_a_window_ends(tell: Tell) -> None:
    """Spans after the window are not decomposed, and the loop runs asyncio's own steps again."""
    told = tell(
        TRACED
        + """
    async def main():
        with span("early"):
            await asyncio.sleep(0.01)
        while asyncio.Handle._run is ours:
            await asyncio.sleep(0.01)
        with span("late"):
            await asyncio.sleep(0.01)

    async def begin():
        global ours
        ours = asyncio.Handle._run
        await main()

    asyncio.run(begin())
    """,
        waits=1.0,
        waits_for_s=0.3,
    )

    assert told.segments("early") != ()
    assert told.segments("late") == ()


def test_a_loop_beside_another_is_said_to_be_unknown(tell: Tell) -> None:
    """The steps of one loop at a time are logged; that another one was not is told."""
    told = tell(
        TRACED
        + """
    import threading

    async def job(name):
        with span(name):
            await asyncio.sleep(0.01)

    async def main():
        other = threading.Thread(target=lambda: asyncio.run(job("other")))
        other.start()
        with span("main"):
            while other.is_alive():
                await asyncio.sleep(0.01)

    asyncio.run(main())
    """,
        waits=1.0,
    )

    assert told.segments("main") != ()
    assert told.segments("other") == ()
    assert told.waits is not None
    assert [why.partition(": ")[2] for why in told.waits.unknown] == [
        "another loop was logged at the same time"
    ]


def test_uvloop_is_said_to_be_unknown(tell: Tell) -> None:
    """uvloop's steps are not asyncio's: nothing of them is known, and that is said."""
    pytest.importorskip("uvloop")
    told = tell(
        TRACED
        + """
    import uvloop

    async def main():
        with span("work"):
            await asyncio.sleep(0.01)

    uvloop.run(main()) if hasattr(uvloop, "run") else uvloop.install() or asyncio.run(main())
    """,
        waits=1.0,
    )

    assert [event.kind for event in told.outcome.of(StepLogUnavailable)] == ["uvloop.Loop"]
    assert told.segments("work") == ()


def test_a_process_that_is_killed_has_logged_all_but_its_last_moment(tmp_path: Path) -> None:
    """The log is written while the program runs: what ends without a word is known until shortly before."""
    done = watched(
        TRACED
        + """
    import os, signal

    async def main():
        with span("early"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
    """,
        tmp_path,
        waits=1.0,
    )

    assert done.status == -9
    assert sum(event.taken for event in done.of(StepsTaken)[-1:]) > 1
