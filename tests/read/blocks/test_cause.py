"""Why a loop was held: told from the figures of its thread, the collector and the other threads."""

from __future__ import annotations

import pytest

from harness.record.event import Frame, GcPause, LoopSampled, OtherThread
from harness.record.value import replace
from tests.read.conftest import HARNESS, OUTSIDE, Look, Recording, Watch, Whole

MS = 1_000_000
LIBRARY = Frame("/usr/lib/python3.12/threading.py", 1, "Thread.run")


def other(
    function: str,
    *,
    used_ms: int = 0,
    syscall: str = "running",
    name: str = "worker",
    file: str = "/srv/shop/report.py",
) -> OtherThread:
    """A thread that used enough CPU in its life to be asked."""
    return OtherThread(name, (LIBRARY, Frame(file, 7, function)), 500 * MS, used_ms * MS, syscall)


def test_a_thread_that_held_the_gil_while_the_loop_was_due_is_blamed(made: Recording) -> None:
    """The loop woke up late and had run nothing: the place is the other thread's."""
    made.blocked(4.0, 300, woke_ns=made.at(4.299), others=(other("to_decimal"),))

    block = made.only_block()
    assert (block.function, block.line, block.cause) == ("to_decimal", 7, "gil")
    assert (block.held_ms, block.task) == (299.0, "")
    assert [(c.thread, c.share, c.stack[-1].function) for c in block.culprits] == [
        ("worker", 1.0, "to_decimal")
    ]


def test_the_innermost_own_function_of_the_thread_that_held_the_gil_is_blamed(made: Recording) -> None:
    """Not the function that called it, nor the library that it calls."""
    own = (Frame("/srv/shop/report.py", 7, "make"), Frame("/srv/shop/report.py", 31, "to_decimal"))
    stack = (LIBRARY, *own, Frame("/usr/lib/python3.12/decimal.py", 5, "quantize"))
    made.blocked(
        4.0, 300, woke_ns=made.at(4.299), others=(OtherThread("worker", stack, 500 * MS, 90 * MS, "running"),)
    )

    block = made.only_block()
    assert (block.function, block.line, block.cause) == ("to_decimal", 31, "gil")


@pytest.mark.parametrize(
    "bystander",
    [
        other("recv", syscall="recvfrom"),
        other("_worker", syscall="futex", file="/usr/lib/python3.12/concurrent/futures/thread.py"),
        other("pause", syscall="clock_nanosleep"),
        other("next_group", syscall="futex"),  # a lock of its own: it made no progress
    ],
)
def test_a_thread_that_waits_has_not_held_the_gil(made: Recording, bystander: OtherThread) -> None:
    """Late, and nobody had the GIL: nothing is proven."""
    made.blocked(4.0, 300, woke_ns=made.at(4.299), others=(bystander,))

    block = made.only_block()
    assert (block.function, block.cause, block.culprits) == ("<late wake-up>", "unknown", ())


@pytest.mark.parametrize(("queued_ms", "cause"), [(280, "descheduled"), (160, "descheduled"), (100, "gil")])
def test_a_late_wake_up_in_the_run_queue_is_the_machines(made: Recording, queued_ms: int, cause: str) -> None:
    """A thread that waits for the GIL is not in the run queue, whoever else computes."""
    made.blocked(
        4.0,
        300,
        woke_ns=made.at(4.299),
        woke_queued_ns=queued_ms * MS,
        whole_queued_ns=queued_ms * MS,
        others=(other("crunch", used_ms=90),),
    )

    assert made.only_block().cause == cause


def test_threads_that_contend_for_the_gil_share_the_blame(made: Recording) -> None:
    """Each with its share of what they used."""
    others = (other("crunch", used_ms=30, name="a"), other("crunch", used_ms=10, name="b"))
    made.blocked(4.0, 200, woke_ns=made.at(4.2), others=others)

    block = made.only_block()
    assert block.cause == "gil"
    assert [(culprit.thread, culprit.share) for culprit in block.culprits] == [("a", 0.75), ("b", 0.25)]


def test_a_signal_handler_that_ran_while_the_loop_waited_is_an_ordinary_block(
    made: Recording, look: Look
) -> None:
    """The loop was due, and the stack shows code of its own."""
    made.blocked(4.0, 240, [look("app.py:9 on_hup", task="", coroutine="")] * 3, woke_ns=made.at(4.24))

    block = made.only_block()
    assert (block.function, block.line, block.cause) == ("on_hup", 9, "call")


def test_a_long_collection_is_the_collectors(made: Recording, look: Look) -> None:
    """Most of the time was a pause of the collector, and the rest is shorter than the limit."""
    pause = GcPause(at_ns=made.at(4.01), held_ns=220 * MS, generation=2, collected=5)
    made.blocked(4.0, 250, [look("cache.py:14 compact")], pauses=(pause,))

    block = made.only_block()
    assert (block.function, block.cause, block.leaf) == ("compact", "gc", "collection of generation 2")


def test_a_collection_without_a_processor_is_the_machines(made: Recording, look: Look) -> None:
    """A pause is wall time: with a processor to itself, the collection would have been short."""
    pause = GcPause(at_ns=made.at(4.01), held_ns=220 * MS, generation=2, collected=5)
    whole: Whole = {"whole_cpu_ns": 12 * MS, "whole_ns": 250 * MS, "whole_queued_ns": 230 * MS}
    made.blocked(4.0, 250, [look("cache.py:14 compact")], pauses=(pause,), **whole)

    assert made.only_block().cause == "descheduled"


@pytest.mark.parametrize(
    ("collected_ms", "share"), [(80, "40 %"), (98, "49 %"), (102, "51 %"), (120, "60 %")]
)
def test_a_collection_of_about_half_the_time_does_not_change_the_cause(
    made: Recording, look: Look, collected_ms: int, share: str
) -> None:
    """The same program would otherwise get another cause in each run; the verdict has both."""
    pause = GcPause(at_ns=made.at(4.01), held_ns=collected_ms * MS, generation=2, collected=5)
    watch: Watch = {"cpu_ns": 170 * MS, "queued_ns": 0, "watched_ns": 175 * MS}
    made.blocked(4.0, 200, [look("cache.py:14 compact", count=30)], pauses=(pause,), **watch)
    made.ended()

    document = made.document()
    assert [(b.cause, b.function, b.gc_ms) for b in document.blocks] == [("cpu", "compact", collected_ms)]
    assert f"in compact (cache.py:14), of which {share} garbage collection" in document.run.verdict


def test_a_short_collection_is_not_the_cause(made: Recording, look: Look) -> None:
    """Less than half of the time."""
    pause = GcPause(at_ns=made.at(4.01), held_ns=50 * MS, generation=2, collected=5)
    sample = replace(look("cache.py:14 compact", count=40), syscall="pselect6")
    made.blocked(4.0, 250, [sample], pauses=(pause,))

    assert made.only_block().cause == "call"


@pytest.mark.parametrize(
    ("cpu_ms", "queued_ms", "others", "cause"),
    [
        (280, 0, (), "cpu"),  # C code that held the GIL itself
        (120, 160, (), "cpu"),  # on a busy machine: it would have been too long on a quiet one, too
        (5, 0, (other("crunch"),), "gil"),
        (5, 290, (other("crunch"),), "descheduled"),
        (5, 290, (), "descheduled"),
        (40, 230, (), "descheduled"),
        (
            1,
            160,
            (),
            "unknown",
        ),  # it slept for 140 ms: with a processor to itself, it would have been late, too
        (5, 10, (), "unknown"),
        (5, 0, (other("recv", syscall="recvfrom"),), "unknown"),
    ],
)
def test_a_turn_that_could_not_be_watched_is_judged_by_its_whole(
    made: Recording, look: Look, cpu_ms: int, queued_ms: int, others: tuple[OtherThread, ...], cause: str
) -> None:
    """One look, at its end: nobody else got the GIL, so what matters is who used the processor."""
    whole: Whole = {"whole_cpu_ns": cpu_ms * MS, "whole_ns": 310 * MS, "whole_queued_ns": queued_ms * MS}
    made.blocked(4.0, 300, [look("log.py:9 parse")], others=others, **whole)

    assert made.only_block().cause == cause


@pytest.mark.parametrize(("queued_ms", "cause"), [(45, "descheduled"), (5, "cpu")])
def test_computing_less_than_the_limit_is_the_machines_fault_if_it_queued(
    made: Recording, look: Look, queued_ms: int, cause: str
) -> None:
    """With the processor to itself, the turn would not have been late; 60 ms without 5 would have been."""
    held_ms = 48 + queued_ms if queued_ms > 5 else 60
    watch: Watch = {"cpu_ns": 30 * MS, "queued_ns": queued_ms * MS, "watched_ns": (held_ms - 25) * MS}
    whole: Whole = {"whole_cpu_ns": 48 * MS, "whole_ns": 95 * MS, "whole_queued_ns": queued_ms * MS}
    made.blocked(4.0, held_ms, [look("a.py:1 f", count=10)], **whole, **watch)

    assert made.only_block().cause == cause


def test_one_look_that_missed_the_call_does_not_excuse_it(made: Recording, look: Look) -> None:
    """The kernel said "running" in the one moment it was asked; the thread neither ran nor queued."""
    watch: Watch = {"cpu_ns": 1 * MS, "queued_ns": 1 * MS, "watched_ns": 190 * MS}
    whole: Whole = {"whole_cpu_ns": 2 * MS, "whole_ns": 245 * MS, "whole_queued_ns": 1 * MS}
    sample = replace(look("a.py:1 nap", count=38), syscall="running")
    made.blocked(4.0, 240, [sample], **whole, **watch)

    block = made.only_block()
    assert (block.function, block.cause) == ("nap", "call")


@pytest.mark.parametrize(
    ("others", "busy_ms", "blamed"),
    [
        ((), 90, ("serve", "descheduled")),
        ((), 20, ("serve", "call")),
        ((other("crunch", used_ms=180),), 0, ("crunch", "gil")),
    ],
)
def test_a_thread_that_was_started_waits_for_the_processor_alone(
    made: Recording, look: Look, others: tuple[OtherThread, ...], busy_ms: int, blamed: tuple[str, str]
) -> None:
    """Whoever started it waits with it; not so for a lock. The probe's own thread had to wait as well."""
    start = ("lib/threading.py:969 Thread.start", "lib/threading.py:629 Event.wait")
    wait = "lib/threading.py:327 Condition.wait"
    watch: Watch = {"cpu_ns": 0, "queued_ns": 1 * MS, "watched_ns": 180 * MS}
    sample = replace(look("a.py:1 serve", *start, wait, count=30), syscall="futex")
    made.blocked(4.0, 236, [sample], others=others, watcher_queued_ns=busy_ms * MS, **watch)
    made.blocked(
        5.0, 236, [replace(look("a.py:2 f", wait, count=30), syscall="futex")], others=others, **watch
    )
    made.ended()

    assert [(b.function, b.cause) for b in made.document().blocks] == [blamed, ("f", "call")]


@pytest.mark.parametrize(("cpu_ms", "cause"), [(300, "cpu"), (40, "descheduled")])
def test_computing_more_than_the_limit_is_the_codes_fault_on_a_full_machine_too(
    made: Recording, look: Look, cpu_ms: int, cause: str
) -> None:
    """The processor was somebody else's for most of the time, but the turn was too long by itself."""
    watch: Watch = {"cpu_ns": cpu_ms * MS, "queued_ns": (2000 - cpu_ms) * MS, "watched_ns": 2000 * MS}
    made.blocked(
        4.0,
        2025,
        [look("a.py:1 f", count=90)],
        whole_cpu_ns=cpu_ms * MS,
        whole_ns=2030 * MS,
        whole_queued_ns=(2000 - cpu_ms) * MS,
        **watch,
    )

    assert made.only_block().cause == cause


def test_a_loop_that_gets_at_the_gil_now_and_then_contends_for_it(made: Recording, look: Look) -> None:
    """Its thread made some progress, and others used the processor meanwhile."""
    sample = replace(look("a.py:1 f", count=10), syscall="futex")
    watch: Watch = {"cpu_ns": 20 * MS, "queued_ns": 0, "watched_ns": 200 * MS}
    made.blocked(4.0, 225, [sample], others=(other("crunch", used_ms=170),), **watch)

    block = made.only_block()
    assert (block.function, block.cause) == ("crunch", "gil")


def test_a_loop_that_waits_for_a_lock_waits_in_a_call(made: Recording, look: Look) -> None:
    """It made no progress at all, whatever other threads did."""
    sample = replace(look("a.py:1 f", count=40), syscall="futex")
    watch: Watch = {"cpu_ns": 0, "queued_ns": 0, "watched_ns": 200 * MS}
    made.blocked(4.0, 225, [sample], others=(other("crunch", used_ms=190),), **watch)

    assert made.only_block().cause == "call"


def test_a_late_wake_up_and_a_long_turn_after_it_are_two_blocks(made: Recording, look: Look) -> None:
    """Each has its own cause."""
    selector = Frame("/usr/lib/python3.12/asyncio/base_events.py", 1949, "BaseEventLoop._run_once")
    asleep = look(outside=(LIBRARY, selector))
    samples = [asleep] * 4 + [look("a.py:1 f")] * 6
    made.blocked(4.0, 500, samples, woke_ns=made.at(4.2), others=(other("to_decimal"),))
    made.ended()

    found = [(b.function, b.cause, round(b.held_ms)) for b in made.document().blocks]
    assert found == [("to_decimal", "gil", 200), ("f", "call", 300)]


@pytest.mark.parametrize(
    ("throttled_ms", "held", "why"),
    [
        (0, "stopped", "stopped by a signal"),
        (0, "frozen", "frozen by its cgroup"),
        (180, "", "throttled by its cgroup"),
        (0, "", "the machine was busy"),
    ],
)
def test_why_there_was_no_processor_is_told(made: Recording, throttled_ms: int, held: str, why: str) -> None:
    """By what the runner saw of the process before, during and after."""
    queued_ns = 0 if held or throttled_ms else 200 * MS
    made.blocked(4.0, 300, woke_ns=made.at(4.299), woke_queued_ns=queued_ns, whole_queued_ns=queued_ns)
    for at_s, during in ((3.9, False), (4.15, True), (4.4, False)):
        sample = LoopSampled(made.at(at_s), 4242, 0, 1, 1, 1, 0, **({held: during} if held else {}))
        # The kernel's figure is a total: it was throttled long before as well.
        throttled_ns = (10_000 + throttled_ms * (at_s > 4.3)) * MS
        made.write("runner", replace(sample, throttled_ns=throttled_ns))

    assert made.only_block().leaf == why


@pytest.mark.parametrize(("grown_ms", "is_throttled"), [(400, True), (10, False)])
@pytest.mark.parametrize("samples_s", [(3.5, 3.9), (4.4, 4.8)])
def test_without_a_sample_on_one_side_throttling_went_on_as_fast(
    made: Recording, samples_s: tuple[float, float], grown_ms: int, is_throttled: bool
) -> None:
    """At the start and the end of a program: 400 ms in 400 are all of the turn, 10 ms are 8 of it."""
    made.blocked(4.0, 300, woke_ns=made.at(4.299), woke_queued_ns=0, whole_queued_ns=0)
    for number, at_s in enumerate(samples_s):
        sample = LoopSampled(made.at(at_s), 4242, 0, 1, 1, 1, 0)
        made.write("runner", replace(sample, throttled_ns=(10_000 + grown_ms * number) * MS))

    assert (made.only_block().leaf == "throttled by its cgroup") is is_throttled


@pytest.mark.parametrize(("held_ms", "cause"), [(60, "gc"), (300, "cpu")])
def test_a_collection_does_not_excuse_code_that_is_late_without_it(
    made: Recording, look: Look, held_ms: int, cause: str
) -> None:
    """Three quarters of the time were collections; a quarter of 300 ms is a block by itself."""
    pause = GcPause(at_ns=made.at(4.001), held_ns=held_ms * 3 // 4 * MS, generation=2, collected=5)
    watch: Watch = {"cpu_ns": held_ms * MS, "queued_ns": 0, "watched_ns": held_ms * MS}
    made.blocked(4.0, held_ms, [look("cache.py:14 compact", count=30)], pauses=(pause,), **watch)

    assert made.only_block().cause == cause


def test_what_the_console_does_on_the_loop_is_nobodys_fault(made: Recording, look: Look) -> None:
    """`gc collect`, for example: a callback of the harness's own, and a note instead of a warning."""
    asked = Frame(f"{HARNESS}/console/commands/gc.py", 60, "_collect.<locals>.collect")
    pause = GcPause(at_ns=made.at(4.001), held_ns=298 * MS, generation=2, collected=5)
    made.blocked(4.0, 300, [look(task="", coroutine="", outside=(*OUTSIDE, asked))], pauses=(pause,))
    made.ended()

    document = made.document()
    assert [(b.function, b.cause, b.where) for b in document.blocks] == [("<harness>", "gc", "")]
    assert [(f.level, f.message) for f in document.findings if f.rule == "blocks"] == [
        ("note", "the console held the loop 1 time for up to 300 ms, as it was asked to")
    ]
