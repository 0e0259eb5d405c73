"""What stands on the page for what not every run has: counted calls, decomposed waits."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from harness.read.calls.allowlist import AllowedCall, Allowlist
from harness.read.compare.comparison import comparison
from harness.read.compare.profile_diff import profile_diff
from harness.read.formats import render
from harness.read.history import load
from harness.read.renderers import html
from harness.read.report import Report
from harness.read.spans.segment import Gap, Part, Segment
from harness.read.spans.wait_report import WaitedOn, WaitReport
from harness.record.event import CallsCounted
from tests.read.conftest import Full, Look, Record


@pytest.fixture
def called(record: Record) -> Report:
    """A run that counted calls: a new place, and one that is allowed."""
    allowlist = Allowlist(allow=(AllowedCall("open", "small and cached"),))
    made = record(settings={"calls": allowlist.settings()})
    made.loop()
    for call, line in (("open", 7), ("socket.connect|", 9)):
        counted = CallsCounted(
            *(made.at(1), 4242, call, "shop.cart:load", "/srv/shop/cart.py", line, "shop.app:serve"),
            *("cart.toml", 3, 3_000_000, 2_000_000),
        )
        made.write("target", counted)
    made.ended()
    return made.document()


def test_counted_calls_stand_on_the_page_and_in_markdown(called: Report) -> None:
    """Each with its place, its figures, and whether it is new, known or allowed and why."""
    page, markdown = render(called, "html"), render(called, "md")

    assert "Synchronous calls on the loop" in page
    assert "2 places, 1 of them new" in page
    assert '<span class="chip warn">new</span>' in page
    assert "allowed: small and cached" in page
    assert "| `socket.connect¦` | `shop.cart:load` `cart.py:9` | 3 | 3 ms | 2 ms | new |" in markdown
    assert "| `open` | `shop.cart:load` `cart.py:7` | 3 | 3 ms | 2 ms | allowed |" in markdown


def test_calls_that_were_not_counted_are_not_shown(full: Full) -> None:
    """No section, and no table in Markdown."""
    document = full().document()

    assert "Synchronous calls" not in render(document, "html")
    assert "call on the loop" not in render(document, "md")


def test_where_time_went_is_shown_as_text_and_as_segments(full: Full) -> None:
    """The mean of each name that was decomposed, who made whom wait, and a waterfall in parts."""
    document = full().document()
    name = replace(
        document.spans.by_name[0],
        run_ms=5.0,
        ready_ms=10.0,
        wait_ms=35.0,
        io_ms=35.0,
        decomposed=7,
        timer_ms=0.0,
        queued_ms=0.0,
        executor_ms=0.0,
        task_ms=0.0,
    )
    blame = WaitedOn(
        "Handler.handle", "save", Part.READY, "Host.restart", "hosts.py:41", "restart", 301.0, 2, 250.0
    )
    trace = document.traces[0]
    before = Segment(trace.at_s, trace.took_ms / 4, Gap.BLOCKED, "Host.restart", "hosts.py:41", "")
    parts = (
        Segment(trace.at_s, trace.took_ms / 2, Part.RUN, "Handler.handle", "service.py:31", ""),
        Segment(
            trace.at_s + trace.took_ms / 2000,
            trace.took_ms / 2,
            Part.READY,
            "Host.restart",
            "hosts.py:41",
            "",
        ),
    )
    first = replace(trace.spans[1], at_s=trace.at_s, took_ms=trace.took_ms, parts=parts)
    in_thread = replace(trace.spans[2], thread="worker-0", at_s=trace.at_s, took_ms=trace.took_ms)
    decomposed = replace(
        document,
        spans=replace(document.spans, by_name=(name,)),
        waits=WaitReport(0.5, 7, 400, 0, (), (), (blame,)),
        traces=(replace(trace, spans=(first, in_thread), path=(before, *parts)),),
    )
    page, plain = render(decomposed, "html"), render(document, "html")

    assert "from 7 spans of 50 % of the traces" in page
    assert (
        'aria-label="running 5 ms, ready, but the loop was held 10 ms, waiting for a file or socket 35 ms"'
        in page
    )
    assert '<span class="part io" style="width:70.00%"' in page
    assert "the loop, held by <code>Host.restart</code>" in page
    assert page.count('<b class="part ready" style="left:50.0%;width:50.0%"') == 2
    assert 'title="queued while the loop was blocked, ' in page
    assert '<b class="part plain" title="in thread worker-0, not decomposed" style="left:0.0%' in page
    assert '<li><span class="part plain"></span>not decomposed' in page
    assert '<td class="n">7</td><td><span class="parts"' in page
    assert "Share of the mean time, by state" in page
    assert "the others ran in threads" in page
    assert "<code>--waits</code>" in plain
    assert 'class="part' not in plain


def test_a_loop_without_a_step_log_is_named(full: Full) -> None:
    """Instead of parts there is the reason."""
    reason = "uvloop.Loop: its steps are not Python's"
    document = replace(full().document(), waits=WaitReport(1.0, 0, 0, 0, (reason,), (), ()))

    assert "is not known on uvloop.Loop" in render(document, "html")


def test_samples_too_deep_for_the_page_are_left_out(record: Record, look: Look) -> None:
    """A stack with more calls than the icicle has room for: the page says how long it was sampled."""
    made = record()
    made.loop()
    made.blocked(4.0, 400, [look(*["walk.py:7 walk"] * 3000)])
    document = made.document()

    assert document.icicle is not None
    assert (document.icicle.threads, document.icicle.rows) == ((), ())
    assert "400 ms in rare calls left out" in render(document, "html")


def test_a_page_that_would_be_too_large_goes_without_its_large_parts(
    full: Full, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First without speedscope, then without the calls of two runs, then without the icicle; it says so."""
    before, after = full("before", blocks=2), full("after")
    base, head = before.document(), after.document()
    samples = profile_diff(load(before.folder), load(after.folder))
    document = replace(head, difference=comparison(base, head, samples))
    whole = render(document, "html")
    parts = ('id="speedscope-code"', 'id="diff-data"', 'id="icicle-data"')
    smaller, found = whole, []
    for _ in parts:
        monkeypatch.setattr(html, "MAX_BYTES", len(smaller.encode()) - 1)
        smaller = render(document, "html")
        found.append([part in smaller for part in parts])

    assert [part in whole for part in parts] == [True, True, True]
    assert found == [[False, True, True], [False, False, True], [False, False, False]]
    assert smaller.count("because the page would be too large") == 2
    assert "because the page would be too large" not in whole


def test_frames_of_libraries_are_folded(record: Record, look: Look) -> None:
    """Those around the program's own; the call in progress and the line to blame are always shown."""
    made = record()
    made.loop()
    calls = ("cart.py:7 load", "lib/json/__init__.py:299 loads", "lib/json/decoder.py:340 decode")
    made.blocked(1, 300, [look(*calls, "cart.py:9 hook", *calls[1:])])
    made.ended()
    page = render(made.document(), "html")
    body = page.partition('<ol class="stack">')[2].partition("<h4>Context")[0]
    folded = re.findall(r"<details><summary>(.*?)</summary>(.*?)</details>", body, re.DOTALL)

    assert [summary for summary, _ in folded] == ["3 frames of libraries", "2 frames of libraries"]
    assert "BaseEventLoop._run_once" in folded[0][1]
    bare = re.sub(r"<details>.*?</details>", "", body, flags=re.DOTALL)
    assert re.findall(r"<li class=\"\w*\"><span>([^<]+)</span>", bare) == [
        *("&lt;module&gt;", "load", "hook", "loads", "decode")
    ]


def test_what_the_measurement_costs_is_no_check_of_the_service(full: Full) -> None:
    """It has a table of its own; the others lead to what explains them, and a limit of zero is a number."""
    page = render(full().document(), "html").partition('id="checks"')[2].partition("</section>")[0]
    tables = re.findall(r"<table>(.*?)</table>", page, re.DOTALL)
    healthy, measured = ([t for t in tables if f"<th>{head}" in t] for head in ("A healthy", "A measurement"))

    assert healthy
    assert measured
    assert not any("Low CPU overhead" in table or "No events dropped" in table for table in healthy)
    assert '<a href="#blocking">No loop turn longer than the block limit</a>' in "".join(healthy)
    assert '<a href="#figures">No failed request</a></td><td class="n">0</td>' in "".join(healthy)


@pytest.mark.parametrize(
    ("started", "shown"),
    [
        ("2026-01-02T03:04:05.000+01:00", "2026-01-02 03:04 UTC+01:00"),
        ("2026-01-02T03:04:05+00:00", "2026-01-02 03:04 UTC"),
    ],
)
def test_the_time_of_a_run_has_its_zone(full: Full, started: str, shown: str) -> None:
    """Who reads it elsewhere knows when it was."""
    document = full().document()

    assert f">{shown}</time>" in render(replace(document, run=replace(document.run, started=started)), "html")


def test_each_figure_has_a_row_of_its_own(full: Full) -> None:
    """A percentile beside its name; a short time to drain is not 0.0 s."""
    document = full().document()
    assert document.ledger is not None
    page = render(replace(document, ledger=replace(document.ledger, drain_s=0.012)), "html")

    for name in ("p50", "p90", "p95", "p99", "p99.9", "slowest"):
        assert re.search(rf'<td>Latency, {re.escape(name)}</td><td class="n">[\d.]+ m?s</td>', page)
    assert '<td>Time to drain</td><td class="n">12 ms</td>' in page
