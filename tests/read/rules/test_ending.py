"""What is said of processes that were asked to end and did not."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from harness.record import event, value
from harness.record.event import Coroutine, Frame, NonDaemonThread, WaitingTasks
from tests.read.conftest import Record, Recording

LOOP_PID = 4242
APPLICATION, STDLIB = "/srv/shop/", "/usr/lib/python3.12/"
SITE = "/srv/shop/.venv/lib/python3.12/site-packages/"

SLEEP = Frame(STDLIB + "asyncio/tasks.py", 650, "sleep")
MAIN_LOOP = Frame(SITE + "webserver/server.py", 230, "Server.main_loop")
SHUTDOWN = Frame(SITE + "webserver/server.py", 283, "Server.shutdown")
STREAM = Frame(APPLICATION + "app.py", 8, "stream")


def server(inner: Frame) -> Coroutine:
    serve = Frame(SITE + "webserver/server.py", 70, "Server.serve")
    return Coroutine("Server.serve", serve.file, 60, (serve, inner, SLEEP))


REQUEST = Coroutine("Request.run", SITE + "webserver/http.py", 90, (STREAM, SLEEP))


def still_running(made: Recording, after_s: float, *, asked_s: float = 2, **changes: object) -> None:
    """A look at a server that was asked to end then, so long after that."""
    stalled = event.ShutdownStalled(
        at_ns=made.at(asked_s + after_s),
        pid=LOOP_PID,
        asked_ns=made.at(asked_s),
        signal="SIGTERM",
        before=server(MAIN_LOOP),
        pending=4,
        waiting=(WaitingTasks(server(SHUTDOWN), 1, main=True), WaitingTasks(REQUEST, 3, main=False)),
        stack=(),
    )
    made.write("target", value.replace(stalled, **changes))


def said(made: Recording) -> list[tuple[str, str, str | None, int | None]]:
    return [(f.level, f.message, f.file, f.line) for f in made.document().findings if f.rule == "ending"]


def test_a_process_that_did_not_end_is_a_warning_with_the_line_it_waits_at(record: Record) -> None:
    """The innermost one that is not the standard library's, and what else is pending."""
    made = record()
    made.loop()
    still_running(made, 5)
    still_running(made, 8)

    assert said(made) == [
        (
            "warning",
            "process 4242 was still running 8.00 s after it was asked to end by SIGTERM: Server.serve "
            "waits in Server.shutdown (webserver/server.py:283); 3 other tasks pending: "
            "Request.run in stream (app.py:8)",
            SHUTDOWN.file,
            283,
        )
    ]


def test_a_target_that_had_to_be_killed_is_reported_with_its_whole_time(record: Record) -> None:
    """The runner saw when it ended; the last look was earlier."""
    made = record()
    made.loop()
    made.write("runner", event.TargetStarted(made.at(0), LOOP_PID, ("python", "-m", "shop")))
    still_running(made, 3)
    made.ended(9.5, status=-9)

    ((level, message, _, line),) = said(made)
    assert (level, line) == ("warning", 283)
    assert message.startswith(
        "the target was still running 7.50 s after it was asked to end by SIGTERM: Server.serve"
    )


def test_one_that_goes_on_as_before_is_a_note(record: Record) -> None:
    """The handler may have been for something else: the main task is where it was."""
    made = record()
    made.loop()
    still_running(made, 8, waiting=(WaitingTasks(server(MAIN_LOOP), 1, main=True),), pending=1)

    assert said(made) == [
        (
            "note",
            "process 4242 was still running 8.00 s after it was asked to end by SIGTERM: Server.serve "
            "waits in Server.main_loop (webserver/server.py:230), as it was when the signal came",
            MAIN_LOOP.file,
            230,
        )
    ]


def test_without_a_main_task_what_is_pending_is_named(record: Record) -> None:
    """The loop runs for ever."""
    made = record()
    made.loop()
    still_running(made, 8, before=None, waiting=(WaitingTasks(REQUEST, 3, main=False),), pending=3)

    ((_, message, file, line),) = said(made)
    assert message.endswith("SIGTERM: 3 tasks pending: Request.run in stream (app.py:8)")
    assert (file, line) == (STREAM.file, 8)


@pytest.mark.parametrize("is_loop_over", [True, False], ids=["loop over", "loop waits for them"])
def test_threads_that_hold_the_process_are_named(record: Record, is_loop_over: bool) -> None:
    """Those that have something to do; it does not matter whether the loop waits for them or Python does."""
    run = Frame(STDLIB + "threading.py", 975, "Thread.run")
    worker = Frame(STDLIB + "concurrent/futures/thread.py", 81, "_worker")
    resize = Frame(APPLICATION + "image.py", 12, "resize")
    closing = Coroutine(
        "BaseEventLoop.shutdown_default_executor",
        STDLIB + "asyncio/base_events.py",
        560,
        (Frame(STDLIB + "asyncio/base_events.py", 580, "BaseEventLoop.shutdown_default_executor"),),
    )
    made = record()
    made.loop()
    still_running(
        made,
        8,
        waiting=() if is_loop_over else (WaitingTasks(closing, 1, main=True),),
        pending=0 if is_loop_over else 1,
        threads=(
            NonDaemonThread("asyncio_0", (run, worker)),
            NonDaemonThread("asyncio_1", (run, worker, resize)),
        ),
    )

    ((level, message, file, line),) = said(made)
    assert level == "warning"
    assert message.endswith("SIGTERM: thread asyncio_1 is in resize (image.py:12)")
    assert (file, line) == (resize.file, 12)


def test_a_main_thread_that_does_not_come_to_its_end_is_named(record: Record) -> None:
    """No loop runs, and no other thread is waited for."""
    made = record()
    made.loop()
    stack = (Frame(APPLICATION + "main.py", 3, "<module>"), Frame(APPLICATION + "main.py", 9, "save"))
    still_running(made, 8, waiting=(), pending=0, stack=stack)

    ((_, message, _, line),) = said(made)
    assert message.endswith("SIGTERM: its main thread is in save (main.py:9)")
    assert line == 9


def closed(made: Recording) -> None:
    # The writer of this record puts the last line where it is now.
    still_running(made, 8, asked_s=-20, pid=os.getpid())


def left(made: Recording) -> None:
    still_running(made, 8)
    made.write("target", event.ProcessExiting(made.at(10.1), LOOP_PID))


def exited(made: Recording) -> None:
    made.write("runner", event.TargetStarted(made.at(0), LOOP_PID, ("python", "-m", "shop")))
    still_running(made, 8)
    made.ended(11, status=0)


def killed_soon(made: Recording) -> None:
    still_running(made, 3)


@pytest.mark.parametrize("how", [closed, left, exited, killed_soon])
def test_ends_that_are_no_finding(record: Record, how: Callable[[Recording], None]) -> None:
    """A record with its last line, `os._exit`, an exit status, and a kill after a short time."""
    made = record()
    made.loop()
    how(made)

    assert said(made) == []


def test_a_process_that_failed_to_become_another_program_still_runs(record: Record) -> None:
    """It said that it leaves, and was seen after that."""
    made = record()
    made.loop()
    made.write("target", event.ProcessExiting(made.at(3), LOOP_PID))
    still_running(made, 8)

    assert [level for level, *_ in said(made)] == ["warning"]


def test_threads_that_outlast_the_main_thread_are_named_in_the_first_sentence(record: Record) -> None:
    """With how long the process lived on for them, and the line of its own code that the thread was in."""
    made = record()
    made.loop(turns_ms=[1.0], ran_s=5.0)
    mailer = NonDaemonThread(
        "mailer", (Frame(APPLICATION + "mail.py", 7, "send"), Frame(STDLIB + "x.py", 1, "f"))
    )
    idle = NonDaemonThread("pool_0", (Frame(STDLIB + "concurrent/futures/thread.py", 81, "_worker"),))
    for at_s in (3, 4):
        made.write("target", event.ExitDelayed(made.at(at_s), LOOP_PID, made.at(2), (idle, mailer)))

    message = "process 4242 ran on for 3.00 s after its main thread: thread mailer was in send (mail.py:7)"
    assert said(made) == [("note", message, APPLICATION + "mail.py", 7)]
    verdict = made.document().run.verdict
    assert verdict.endswith("; then thread mailer kept the process running for 3.00 s in send (mail.py:7).")


def test_a_thread_that_is_nowhere_in_the_program_is_told_where_it_is(record: Record) -> None:
    """By its innermost line, though that is the standard library's; nobody is blamed for it."""
    made = record()
    made.loop(turns_ms=[1.0], ran_s=2.0)
    stack = (Frame(STDLIB + "threading.py", 982, "Thread.run"), Frame(STDLIB + "socket.py", 706, "readinto"))
    made.write(
        "target", event.ExitDelayed(made.at(3), LOOP_PID, made.at(2), (NonDaemonThread("reader", stack),))
    )
    made.ended(5.0, status=0)

    ((level, message, _, _),) = said(made)
    assert level == "note"
    assert message.endswith("thread reader was in readinto (socket.py:706)")


CORE = Frame(SITE + "database/core.py", 59, "worker")


@pytest.mark.parametrize(
    ("waits", "asked_s", "level"),
    [
        ((True, True), 9, "warning"),
        ((True, False), 9, "note"),  # one of them still does something
        ((True, True), None, "note"),  # it ended by itself
        ((True, True), 3.5, "note"),  # it was hardly given the time
        ((True, True), 1, "note"),  # the signal came first: the program was about to end
    ],
    ids=["all wait", "one works", "ended by itself", "interrupted at once", "asked before"],
)
def test_threads_that_wait_for_each_other_until_a_signal_comes_are_the_trouble(
    record: Record, waits: tuple[bool, bool], asked_s: float | None, level: str
) -> None:
    """Nobody is left who could give them work; any other process may be at work in its threads."""
    made = record()
    made.loop(turns_ms=[1.0], ran_s=2.0)
    made.write("runner", event.TargetStarted(made.at(0), LOOP_PID, ("python", "-m", "shop")))
    threads = tuple(NonDaemonThread(f"db_{n}", (CORE,), wait) for n, wait in enumerate(waits))
    made.write("target", event.ExitDelayed(made.at(3), LOOP_PID, made.at(2), threads))
    if asked_s is not None:
        made.write("runner", event.TargetStopping(made.at(asked_s), "SIGINT"))
    made.ended(max(9.0, asked_s or 0) if asked_s != 3.5 else 3.6, status=0)

    ((found, message, file, line),) = said(made)
    assert (found, file, line) == (level, CORE.file, 59)
    if level == "warning":
        assert message == (
            "process 4242 ran on for 7.00 s after its main thread: thread db_0 waits in worker "
            "(database/core.py:59), and nothing wakes it up any more; nor 1 other thread"
        )
        assert made.document().run.verdict == f"P{message[1:]}."


def test_an_exit_handler_that_keeps_the_process_is_named(record: Record) -> None:
    """No thread does; the program may need the time, so it is no warning."""
    made = record()
    made.loop(turns_ms=[1.0], ran_s=2.0)
    handler = (Frame(APPLICATION + "spool.py", 4, "Spool.close"), Frame(APPLICATION + "spool.py", 9, "send"))
    made.write("target", event.ExitDelayed(made.at(3), LOOP_PID, made.at(2), (), handler))
    made.ended(5.0, status=0)

    ((level, message, _, line),) = said(made)
    assert (level, line) == ("note", 9)
    assert message.endswith("exit handler Spool.close was in send (spool.py:9)")
    assert "; then exit handler Spool.close kept the process running for" in made.document().run.verdict
