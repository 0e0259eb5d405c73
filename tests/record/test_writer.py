"""The record survives what happens to its writers: full buffers, full disks, `os._exit`, `kill -9`."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from harness.errors import RecordError
from harness.record.event import Completed, Event, Sent, WriterClosed, WriterOpened
from harness.record.reader import Follower, Source
from harness.record.writer import Writer
from tests.support.no_bytecode import without_bytecode


def read(folder: Path) -> tuple[list[Event], list[Source]]:
    follower = Follower(folder)
    return [event for _, event in follower.new_events()], follower.sources


def sent(n: int) -> Sent:
    return Sent(n=n, intended_ns=n, sent_ns=n, trace_id="")


def test_what_was_written_is_read_back_in_order_between_the_first_and_the_last_line(tmp_path: Path) -> None:
    """Every event comes back as it went in."""
    writer = Writer(tmp_path, "driver")
    for n in range(1000):
        assert writer.write(sent(n))
    writer.close()

    events, (source,) = read(tmp_path)
    assert events[1:-1] == [sent(n) for n in range(1000)]
    assert isinstance(events[0], WriterOpened)
    assert events[-1] == source.closed
    assert source.closed.dropped == source.damaged == source.unknown == 0


def test_what_is_written_now_is_in_the_file_at_once(tmp_path: Path) -> None:
    """Whatever becomes of the writing thread; and after the end it is dropped, and counted."""
    writer = Writer(tmp_path, "driver")
    writer.write(sent(0))
    assert writer.write_now(sent(1))
    assert sent(1) in read(tmp_path)[0]

    writer.close()
    assert not writer.write_now(sent(2))
    events, (source,) = read(tmp_path)
    assert {event.n for event in events if isinstance(event, Sent)} == {0, 1}
    assert source.closed is not None
    assert (writer.dropped, source.closed.dropped) == (1, 0)


def test_a_step_is_done_later_in_another_thread(tmp_path: Path) -> None:
    """In its turn between the events, once, and before a flush returns."""
    writer = Writer(tmp_path, "driver")
    done: list[int] = []
    writer.write(sent(0))
    writer.later(lambda: done.append(threading.get_ident()))
    writer.write(sent(1))
    assert writer.flush()

    assert len(done) == 1
    assert done != [threading.get_ident()]
    writer.close()
    assert [event for event in read(tmp_path)[0] if isinstance(event, Sent)] == [sent(0), sent(1)]


def test_a_full_buffer_drops_the_newest_and_counts_them(tmp_path: Path) -> None:
    """Nothing blocks and nothing grows: what finds the buffer full is refused, counted, and reported."""
    writer = Writer(tmp_path, "driver", capacity=10)
    # The writing thread gathers for a while after the first event, so these arrive before it takes any.
    taken = [writer.write(sent(n)) for n in range(500)]
    writer.close()

    events, (source,) = read(tmp_path)
    assert taken.count(False) > 0
    assert source.closed is not None
    assert source.closed.dropped == taken.count(False)
    assert len([e for e in events if isinstance(e, Sent)]) == taken.count(True)


def test_a_record_does_not_grow_beyond_its_bound(tmp_path: Path) -> None:
    """Past the bound lines are dropped and counted; the last line still says how many."""
    writer = Writer(tmp_path, "driver", max_bytes=2_000)
    for n in range(500):
        writer.write(sent(n))
    writer.close()

    events, (source,) = read(tmp_path)
    kept = [event for event in events if isinstance(event, Sent)]
    assert source.path.stat().st_size < 2_500
    assert source.closed is not None
    assert source.closed.dropped == 500 - len(kept) > 0


def test_writes_from_many_threads_are_each_one_line(tmp_path: Path) -> None:
    """Lines never mix, whoever writes."""
    import threading

    writer = Writer(tmp_path, "driver")
    threads = [
        threading.Thread(target=lambda k=k: [writer.write(sent(k * 1000 + n)) for n in range(1000)])
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()

    events, (source,) = read(tmp_path)
    assert source.damaged == 0
    assert {event.n for event in events if isinstance(event, Sent)} == set(range(4000))


def test_a_record_can_be_followed_while_it_is_written(tmp_path: Path) -> None:
    """A half line is not read until it is whole."""
    path = tmp_path / "driver-1-1.jsonl"
    line = b'{"e":"Completed","n":1,"done_ns":2,"ok":true}\n'
    path.write_bytes(line[:20])
    follower = Follower(tmp_path)

    before = list(follower.new_events())
    path.write_bytes(line)
    after = [event for _, event in follower.new_events()]

    assert before == []
    assert after == [Completed(n=1, done_ns=2, ok=True)]
    assert list(follower.new_events()) == []


def test_damaged_lines_and_unknown_events_are_counted_and_skipped(tmp_path: Path) -> None:
    """A reader takes what it can use, and says what it could not."""
    (tmp_path / "driver-1-1.jsonl").write_bytes(
        b'{"e":"Completed","n":1,"done_ns":2,"ok":true,"later_field":1}\n'
        b"\x00\xff not json\n"
        b'{"e":"Completed","n":1}\n'
        b'{"e":"FromTheFuture"}\n'
        b'{"e":"Completed","n":2,"done_ns":3,"ok":fal'
    )
    events, (source,) = read(tmp_path)

    assert events == [Completed(n=1, done_ns=2, ok=True)]
    assert (source.damaged, source.unknown) == (2, 1)


def test_a_record_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    """Better no answer than a wrong one."""
    Writer(tmp_path, "driver").close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2'))

    with pytest.raises(RecordError, match="format 2, but this version reads up to 1"):
        read(tmp_path)


WRITES = """
    import os, pathlib, signal, sys, time
    from harness.record.event import Sent
    from harness.record.writer import Writer
    writer = Writer(pathlib.Path(sys.argv[1]), "driver")
    def sent(n):
        return Sent(n=n, intended_ns=time.monotonic_ns(), sent_ns=0, trace_id="")
"""


def run(
    program: str, folder: Path, preexec_fn: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", dedent(WRITES) + dedent(program), str(folder)],
        env=without_bytecode(),
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=preexec_fn,
    )


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_writer_that_is_cut_off_loses_at_most_its_last_100_ms(ending: str, tmp_path: Path) -> None:
    """Whatever ends the process, what was written more than 100 ms before is in the file."""
    done = run(
        f"""
        for n in range(200):
            writer.write(sent(n))
            time.sleep(0.005)
        print(time.monotonic_ns(), flush=True)
        {ending}
        """,
        tmp_path,
    )
    ended_ns = int(done.stdout)

    events, (source,) = read(tmp_path)
    numbers = [event.n for event in events if isinstance(event, Sent)]
    assert source.closed is None
    assert source.damaged == 0
    assert numbers == list(range(len(numbers)))
    # A thread that gets no processor is late however it is written: a machine's worst pause is allowed for.
    newest_ns = max(event.intended_ns for event in events if isinstance(event, Sent))
    assert (ended_ns - newest_ns) / 1e6 < 100 + 100


def test_a_full_disk_is_counted_and_never_raised(tmp_path: Path) -> None:
    """A file that may not grow: the program goes on, and knows how much was dropped."""

    def no_more_than_4_kb() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = run(
        """
        for n in range(1000):
            writer.write(sent(n))
        writer.close()
        print(writer.dropped)
        """,
        tmp_path,
        preexec_fn=no_more_than_4_kb,
    )
    events, _ = read(tmp_path)
    kept = len([event for event in events if isinstance(event, Sent)])

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
    assert kept + int(done.stdout) == 1000 + 1  # the last line had no room, either


def test_what_follows_a_torn_line_begins_a_new_one(tmp_path: Path) -> None:
    """The disk was full in the middle of a line: when there is room again, only that line is lost."""
    done = run(
        """
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (writer.path.stat().st_size + 10, most))
        writer.write(sent(1))
        writer.flush()
        print(writer.error, writer.dropped)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        writer.write(sent(2))
        writer.close()
        """,
        tmp_path,
    )
    events, (source,) = read(tmp_path)

    assert done.stdout == "File too large 1\n", done.stderr
    assert [event.n for event in events if isinstance(event, Sent)] == [2]
    assert source.closed is not None
    assert (source.closed.dropped, source.damaged, source.lost) == (1, 1, 0)


def test_lines_that_were_taken_out_are_counted(tmp_path: Path) -> None:
    """The last line knows how many there were before it."""
    writer = Writer(tmp_path, "driver")
    for n in range(10):
        writer.write(sent(n))
    writer.close()
    _, (whole,) = read(tmp_path)
    lines = writer.path.read_text().splitlines(keepends=True)
    writer.path.write_text("".join(lines[:4] + lines[7:]))
    _, (source,) = read(tmp_path)

    assert (whole.lost, source.lost, source.damaged) == (0, 3, 0)


@pytest.mark.parametrize(
    "line",
    [
        '{"e":"Completed","n":"1","done_ns":2,"ok":true}',
        '{"e":"Completed","n":1,"done_ns":2.5,"ok":true}',
        '{"e":"Completed","n":1,"done_ns":2,"ok":1}',
        '{"e":"TargetStarted","at_ns":1,"pid":2,"command":"ls"}',
        '{"e":"RunEnded","at_ns":1,"interrupted":false,"files":[3]}',
        '["e"]',
    ],
)
def test_a_value_of_another_shape_is_a_damaged_line(tmp_path: Path, line: str) -> None:
    """What would fail later, in a rule that trusts the record, is noticed where it is read."""
    (tmp_path / "driver-1-1.jsonl").write_text(f"{line}\n")
    events, (source,) = read(tmp_path)

    assert (events, source.damaged) == ([], 1)


def test_closing_does_not_wait_for_the_next_flush(tmp_path: Path) -> None:
    """A program's end is not held up by the time that events are gathered for."""
    took = []
    for _ in range(5):
        writer = Writer(tmp_path, "driver")
        writer.write(sent(1))
        began = time.perf_counter()
        writer.close()
        took.append(time.perf_counter() - began)

    assert min(took) < 0.04


def test_what_comes_after_the_end_is_dropped(tmp_path: Path) -> None:
    """A closed writer takes nothing and says so."""
    writer = Writer(tmp_path, "driver")
    writer.close()

    assert writer.write(sent(1)) is False
    events, _ = read(tmp_path)
    assert isinstance(events[-1], WriterClosed)


def test_a_writer_that_lives_on_after_its_last_line_has_another_one(tmp_path: Path) -> None:
    """A process was about to be replaced by `exec`, which failed: the record is whole at its real end."""
    writer = Writer(tmp_path, "target")
    writer.leave()
    _, (before,) = read(tmp_path)
    writer.write(sent(1))
    writer.flush()
    _, (between,) = read(tmp_path)
    writer.close()
    _, (after,) = read(tmp_path)

    assert [source.closed is not None for source in (before, between, after)] == [True, False, True]
