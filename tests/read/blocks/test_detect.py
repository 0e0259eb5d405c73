"""How late turns become blocks."""

from __future__ import annotations

import pytest

from harness.read.blocks.block import Block
from harness.record import event
from harness.record.event import Blocked
from harness.record.value import replace
from tests.read.conftest import LOOP_PID, Look, Record, Recording, Watch, Whole

MS = 1_000_000


def blocks_of(made: Recording) -> tuple[Block, ...]:
    made.ended()
    return made.document().blocks


def brief(block: Block) -> tuple[str, int, str, int]:
    return block.function, block.line, block.cause, round(block.held_ms)


def test_one_long_call_is_one_block_with_everything_that_is_known_of_it(made: Recording, look: Look) -> None:
    """The blamed frame, the stack, the task, the span, and who waited."""
    sample = look("cart.py:41 Cart.total", "lib/socket.py:706 SocketIO.readinto", count=58)
    victim = event.DelayedStep("checkout-2", "checkout", "ab", 290_000_000)
    made.blocked(4.0, 300, [sample], victims=(victim,), victims_total=3)

    (block,) = blocks_of(made)
    assert brief(block) == ("Cart.total", 41, "call", 300)
    assert (block.at_s, block.count, block.samples, block.ended) == (4.0, 1, 58, True)
    assert (block.task, block.coroutine, block.span) == ("checkout-1", "checkout", "checkout")
    assert (block.where, block.leaf) == ("cart.py:41", "socket.SocketIO.readinto")
    assert block.stack == sample.stack
    assert [block.stack[index].function for index in block.own] == ["<module>", "Cart.total"]
    assert [(v.task, v.delayed_ms) for v in block.victims] == [("checkout-2", 290.0)]
    assert block.victims_total == 3


def test_two_long_calls_in_one_step_are_two_blocks(made: Recording, look: Look) -> None:
    """They meet between the last sample of one and the first of the other; who waited is split there too."""
    fetch = look("etl.py:30 etl", "etl.py:9 fetch")
    fold = look("etl.py:31 etl", "etl.py:13 fold")
    victims = (event.DelayedStep("early", "", "", 340_000_000), event.DelayedStep("late", "", "", 50_000_000))
    made.blocked(4.0, 360, [fetch, fetch, fold, fold, fold, fold], victims=victims, victims_total=5)

    first, second = blocks_of(made)
    assert [brief(first), brief(second)] == [("fetch", 9, "call", 120), ("fold", 13, "call", 240)]
    assert (first.at_s, second.at_s) == (4.0, 4.12)
    assert [(v.task, v.delayed_ms) for v in first.victims] == [("early", 100.0)]
    assert [(v.task, v.delayed_ms) for v in second.victims] == [("early", 240.0), ("late", 50.0)]
    assert (first.victims_total, second.victims_total) == (1, 5)


def test_two_short_calls_in_one_step_are_one_block_of_their_caller(made: Recording, look: Look) -> None:
    """When neither call reaches the limit, the function that made both is to blame."""
    made.blocked(4.0, 80, [look("etl.py:30 etl", "etl.py:9 fetch"), look("etl.py:31 etl", "etl.py:13 fold")])

    (block,) = blocks_of(made)
    assert (block.function, block.cause, block.held_ms) == ("etl", "call", 80.0)


def test_what_is_left_beside_a_long_call_is_its_callers(made: Recording, look: Look) -> None:
    """Time outside the long call that reaches the limit itself is a second block; less is left out."""
    long, alone = look("etl.py:30 etl", "etl.py:9 fetch"), look("etl.py:31 etl")
    made.blocked(4.0, 300, [long, long, long, long, alone, alone])
    made.blocked(5.0, 300, [long] * 9 + [alone])

    assert [brief(block)[::3] for block in blocks_of(made)] == [("fetch", 200), ("etl", 100), ("fetch", 270)]


def test_one_sample_in_twenty_does_not_cut_a_block(made: Recording, look: Look) -> None:
    """A single look at something else, between many at one call, belongs to that call."""
    score, helper = look("rank.py:9 score"), look("rank.py:10 score", "rank.py:3 clamp")
    made.blocked(4.0, 100, [score] * 9 + [helper] + [score] * 10)

    (block,) = blocks_of(made)
    assert brief(block) == ("score", 9, "call", 100)


def test_a_recursive_function_is_one_block(made: Recording, look: Look) -> None:
    """A tree of calls to one function is not cut into its branches."""
    parse = "parse.py:7 parse"
    made.blocked(4.0, 400, [look(parse, parse, f"parse.py:{n} parse", parse) for n in (8, 8, 9, 9)])

    (block,) = blocks_of(made)
    assert (block.function, block.held_ms) == ("parse", 400.0)


def test_a_very_deep_stack_is_read(made: Recording, look: Look) -> None:
    """Programs that recurse deeper than Python lets a reader do are judged as others."""
    made.blocked(4.0, 400, [look(*["walk.py:7 walk"] * 3000, "walk.py:9 visit")])

    (block,) = blocks_of(made)
    assert brief(block) == ("visit", 9, "call", 400)


def test_many_short_steps_in_one_turn_are_one_block_with_culprits(made: Recording, look: Look) -> None:
    """No step reaches the limit, the turn does: cause many, the functions with their shares."""
    samples = [look("enc.py:8 encode", task=f"enc-{n}") for n in range(30)]
    samples += [look("log.py:5 write", task=f"log-{n}") for n in range(10)]
    made.blocked(4.0, 200, samples)

    (block,) = blocks_of(made)
    assert brief(block) == ("encode", 8, "many", 200)
    assert block.task == "enc-0"
    assert [(c.stack[-1].function, c.share, c.thread) for c in block.culprits] == [
        ("encode", 0.75, "MainThread"),
        ("write", 0.25, "MainThread"),
    ]


def test_short_steps_that_got_no_processor_are_not_many(made: Recording, look: Look) -> None:
    """A few callbacks were only interrupted: their number is no reason."""
    samples = [look("enc.py:8 encode", task=f"enc-{n}") for n in range(10)]
    starved: Whole = {"whole_cpu_ns": 6_000_000, "whole_ns": 210_000_000, "whole_queued_ns": 195_000_000}
    made.blocked(4.0, 200, samples, **starved)

    (block,) = blocks_of(made)
    assert (block.cause, block.culprits) == ("descheduled", ())


def test_a_callback_run_ten_thousand_times_is_blamed_by_its_name(made: Recording, look: Look) -> None:
    """Callbacks without a task that are the same function count as one step."""
    made.blocked(
        4.0,
        500,
        [look("cb.py:10 small", task="", coroutine="", span="")] * 20,
        cpu_ns=9,
        queued_ns=0,
        watched_ns=10,
    )

    (block,) = blocks_of(made)
    assert brief(block) == ("small", 10, "cpu", 500)


def test_a_turn_without_samples_is_a_block_without_a_place(made: Recording) -> None:
    """It is reported, with nothing invented."""
    made.blocked(4.0, 70)

    (block,) = blocks_of(made)
    assert (block.function, block.file, block.stack, block.samples) == ("<not sampled>", "", (), 0)


def test_the_ended_event_replaces_the_one_written_while_it_lasted(made: Recording, look: Look) -> None:
    """One turn, written twice, is one block."""
    made.blocked(4.0, 60, [look("a.py:1 f")], ended=False)
    made.blocked(4.0, 300, [look("a.py:1 f")])

    assert [(block.held_ms, block.ended) for block in blocks_of(made)] == [(300.0, True)]


def test_a_turn_that_seemed_to_go_on_while_the_next_one_was_held_is_no_block(
    made: Recording, look: Look
) -> None:
    """The loop lost the processor between two turns: seen in the first, and recorded as the second."""
    made.blocked(4.0, 88.6, [look("a.py:1 f")], ended=False)
    made.blocked(4.0005, 89.2, [look("b.py:2 g")])
    made.blocked(7.0, 60, [look("a.py:1 f")], ended=False)

    assert [(b.function, b.held_ms, b.ended) for b in blocks_of(made)] == [
        ("g", 89.2, True),
        ("f", 60.0, False),
    ]


def test_a_block_whose_process_was_killed_is_a_block(made: Recording, look: Look) -> None:
    """The provisional event alone counts, and a note says so."""
    made.blocked(4.0, 60, [look("a.py:1 f")], ended=False)
    made.ended()

    document = made.document()
    assert [(block.function, block.held_ms, block.ended) for block in document.blocks] == [("f", 60.0, False)]
    notes = [found.message for found in document.findings if found.rule == "blocks" and found.level == "note"]
    assert notes == [
        "when the record ended, process 4242 was inside this block, which had held the loop for 60 ms"
    ]


@pytest.mark.parametrize(
    ("cpu", "queued", "cause"),
    [(255, 6, "cpu"), (120, 90, "cpu"), (15, 270, "descheduled"), (30, 36, "call"), (None, None, "call")],
)
def test_the_cause_is_told_by_the_threads_time_on_the_processor(
    made: Recording, look: Look, cpu: int | None, queued: int | None, cause: str
) -> None:
    """On it, queueing for it, or away from it; without figures it is a call that waits."""
    figures: Watch = {}
    if cpu is not None and queued is not None:
        figures = {"cpu_ns": cpu * MS, "queued_ns": queued * MS, "watched_ns": 300 * MS}
    made.blocked(4.0, 300, [look("a.py:1 f", count=50)], **figures)

    (block,) = blocks_of(made)
    assert block.cause == cause


def test_two_calls_of_one_turn_have_each_their_own_cause(made: Recording, look: Look) -> None:
    """The part that the kernel saw waiting is a call; the thread's CPU time is the other part's."""
    fetch = replace(look("etl.py:30 etl", "etl.py:9 fetch", count=20), syscall="pselect6")
    fold = replace(look("etl.py:31 etl", "etl.py:13 fold", count=20), syscall="futex")
    made.blocked(
        4.0, 400, [fetch, fetch, fold, fold], cpu_ns=180 * MS, queued_ns=20 * MS, watched_ns=400 * MS
    )

    assert [brief(block) for block in blocks_of(made)] == [
        ("fetch", 9, "call", 200),
        ("fold", 13, "cpu", 200),
    ]


def test_a_comprehension_is_part_of_its_function(made: Recording, look: Look) -> None:
    """Before Python 3.12 it had a frame of its own: the function is named, with the line inside."""
    made.blocked(
        4.0,
        300,
        [
            look(
                "etl.py:12 fold",
                "etl.py:12 fold.<locals>.<listcomp>",
                "etl.py:13 fold.<locals>.<listcomp>.<locals>.<setcomp>",
            )
        ],
    )

    (block,) = blocks_of(made)
    assert brief(block) == ("fold", 13, "call", 300)
    assert [frame.function for frame in block.stack[-2:]] == ["Handle._run", "fold"]


def test_an_import_is_blamed_on_the_line_that_asked_for_it(made: Recording, look: Look) -> None:
    """The stack ends there; what the import ran is the culprit."""
    frozen = "<frozen importlib._bootstrap>:1360 _find_and_load"
    made.blocked(4.0, 300, [look("app.py:8 load_plugin", frozen, "plugin.py:2 <module>")])

    (block,) = blocks_of(made)
    assert brief(block) == ("load_plugin", 8, "import", 300)
    assert (block.leaf, block.stack[-1].function) == ("import plugin", "load_plugin")
    assert [culprit.stack[-1].file for culprit in block.culprits] == ["/srv/shop/plugin.py"]


def test_a_lazy_import_is_blamed_on_the_use_that_began_it(made: Recording, look: Look) -> None:
    """With the name that was used; importing at the top of the module would not help."""
    frozen = "<frozen importlib._bootstrap>:1360 _find_and_load"
    made.blocked(4.0, 300, [look("app.py:8 price", frozen, "plugin.py:2 <module>", lazy="RATES")])

    (block,) = blocks_of(made)
    assert brief(block) == ("price", 8, "import", 300)
    assert block.leaf == "import plugin at the first use of RATES"
    assert block.hint == "Use RATES once when the program starts, or import it without `lazy`."


def test_an_import_by_a_package_is_blamed_on_the_package(made: Recording, look: Look) -> None:
    """Not on the import system, frozen or not."""
    frozen = "<frozen importlib._bootstrap>:1360 _find_and_load"
    by_name = "lib/importlib/__init__.py:126 import_module"
    made.blocked(
        4.0, 300, [look("site/uvicorn/importer.py:19 load", by_name, frozen, "site/h11/x.py:2 <module>")]
    )

    (block,) = blocks_of(made)
    assert brief(block) == ("load", 19, "import", 300)
    assert (block.where, block.leaf, block.library) == ("uvicorn/importer.py:19", "import h11.x", "")


def test_the_packages_frame_is_named_beside_the_programs(made: Recording, look: Look) -> None:
    """Of the thread that held the GIL, where one did; nothing for an import, which is not the package's."""
    vendor = "site/vendor/client.py:210 Client.reboot"
    made.blocked(4.0, 300, [look("a.py:1 f", vendor, "lib/socket.py:706 readinto")])
    holder = event.OtherThread("w", look("a.py:5 h", vendor, outside=()).stack, 500 * MS, 280 * MS, "running")
    made.blocked(5.0, 300, [], woke_ns=made.at(5.299), others=(holder,))
    frozen = "<frozen importlib._bootstrap>:1360 _find_and_load"
    made.blocked(6.0, 300, [look("a.py:2 g", frozen, "site/vendor/__init__.py:1 <module>")])

    assert [(b.function, b.cause, b.library) for b in blocks_of(made)] == [
        ("f", "call", "Client.reboot (vendor/client.py:210)"),
        ("h", "gil", "Client.reboot (vendor/client.py:210)"),
        ("g", "import", ""),
    ]


def test_the_acting_fault_is_named(made: Recording, look: Look) -> None:
    """A block that a fault made carries its id, another one none; the probe's frames are never own code."""
    inside = ("a.py:1 f", "harness/probe/control/faults.py:97 act")
    made.blocked(4.0, 300, [look(*inside, fault="stuck-sdk")])
    made.blocked(5.0, 300, [look("a.py:1 f")])

    found = blocks_of(made)
    assert [(block.function, block.fault) for block in found] == [("f", "stuck-sdk"), ("f", None)]
    assert found[0].stack[found[0].own[-1]].function == "f"


def test_a_run_without_late_turns_has_no_block(made: Recording) -> None:
    """Nothing is made of nothing."""
    made.ended()

    document = made.document()
    assert (document.blocks, document.blockers) == ((), ())
    assert document.findings == ()


def test_blockers_group_by_line_and_cause_worst_first(made: Recording, look: Look) -> None:
    """Repeated blocks of one line are one entry with count, total and longest."""
    for at_s, held_ms in ((1, 100), (2, 300)):
        made.blocked(at_s, held_ms, [look("a.py:1 f")])
    made.blocked(3, 350, [look("b.py:2 g", span="")])
    made.ended()

    places = made.document().blockers
    assert [(p.function, p.count, p.total_ms, p.max_ms, p.spans) for p in places] == [
        ("f", 2, 400.0, 300.0, ("checkout",)),
        ("g", 1, 350.0, 350.0, ()),
    ]


def test_one_late_sample_at_the_beginning_of_a_function_is_an_arrival(made: Recording, look: Look) -> None:
    """The function had run nothing yet: the time before belongs to its caller, or to an unknown callback."""
    late = Blocked(0, 300 * MS, True, LOOP_PID, 0, (), (), 0, whole_cpu_ns=290 * MS, whole_ns=300 * MS)
    for at_s, calls in ((4.0, ("cart.py:41 total", "site/tax.py:7 rate")), (5.0, ("cart.py:50 refresh",))):
        at_ns = made.at(at_s + 0.299)
        arrival = replace(look(*calls), entering=True, first_ns=at_ns, last_ns=at_ns)
        made.write("target", replace(late, at_ns=made.at(at_s), samples=(arrival,)))
    # One of many samples is nothing special: a function that is called often stands there often.
    made.blocked(6.0, 300, [replace(look("cart.py:60 price"), entering=True)] * 60)

    found = [(b.function, b.line, b.task, b.cause) for b in blocks_of(made)]
    assert found == [
        ("total", 41, "checkout-1", "cpu"),
        ("<not sampled>", 0, "", "cpu"),
        ("price", 60, "checkout-1", "call"),
    ]


def test_a_planted_block_is_not_advised_to_be_fixed(record: Record, look: Look) -> None:
    """It says which fault it is and what that does; a real block of the same call keeps its advice."""
    made = record()
    made.loop()
    detail = "time.sleep(0.3) in logging:Logger.info"
    made.write("runner", event.FaultInjected(made.at(0), "slow-log", "block.sleep", detail))
    calls = ("handler.py:7 handle", "lib/logging/__init__.py:1501 Logger.info")
    made.blocked(1, 300, [look(*calls, fault="slow-log")])
    made.blocked(2, 300, [look("other.py:7 handle", "lib/logging/__init__.py:1501 Logger.info")])
    made.ended()
    planted, real = made.document().blocks

    assert planted.hint == (
        "Planted by fault slow-log: time.sleep(0.3) in logging:Logger.info. There is nothing to fix here."
    )
    assert planted.help == "docs/blocking.md#planted"
    assert "QueueHandler" in real.hint
