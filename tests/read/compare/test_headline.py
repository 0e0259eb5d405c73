"""Whether a run was slower than another one, in one sentence and where one looks first."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.commands.report import report
from harness.read.compare.comparison import Comparison, comparison
from harness.read.compare.headline import headline
from harness.read.compare.profile_diff import profile_diff
from harness.read.compare.sameness import not_same
from harness.read.formats import render
from harness.read.history import load
from harness.read.report import build
from harness.record import event
from harness.record.run import read_manifest
from tests.read.conftest import Full, Look, Record, Recording

Job = Callable[..., Recording]


@pytest.fixture
def job(record: Record) -> Job:
    """A program that renders 400 orders and ends: its samples in `render`, and how long each took."""

    def make(name: str, *, render_ms: int, exit_status: int = 0, asked: bool = False) -> Recording:
        made = record(name)
        ran_s = 400 * (render_ms + 5) / 1000
        made.loop(turns_ms=[float(render_ms)] * 400, ran_s=ran_s)
        frames = (
            event.Frame("/srv/shop/orders.py", 9, "order"),
            event.Frame("/srv/shop/orders.py", 4, "render"),
        )
        made.write("target", event.FrameTable(made.at(0), 4242, 1, (0, 1), frames))
        for n in range(400):
            at_s = n * (render_ms + 5) / 1000
            for _ in range(render_ms // 10):
                at_s += 0.01
                tick = event.Sampled(
                    *(
                        made.at(at_s),
                        4242,
                        "MainThread",
                        "signal",
                        100,
                        2,
                        1,
                        f"order-{n}",
                        "order",
                        "",
                        "",
                        "",
                    )
                )
                made.write("target", tick)
            if n % 40 == 0:
                made._writers["target"].flush(timeout_s=30)
        made.write("target", event.SamplesCounted(made.at(ran_s), 4242, 100, 400, 400, 0, 0))
        if asked:
            made.write("runner", event.TargetStopping(made.at(ran_s), "SIGINT"))
        made.ended(ran_s, status=exit_status)
        made.close()
        return made

    return make


def compared(base: Recording, head: Recording) -> Comparison:
    before, after = load(base.folder), load(head.folder)
    samples = profile_diff(before, after)
    return comparison(build(before), build(after), samples, not_same(before.run, after.run))


def test_a_program_that_does_three_times_the_work_is_slower(job: Job) -> None:
    """By its duration and by the time of the function, per run: per second it would be no busier."""
    between = compared(job("base", render_ms=10), job("head", render_ms=30))
    samples = between.contrast

    assert headline(between) == (
        f"Against {between.base_id}: took 14.0 s, not 6.00 s (×2.3). Worse: render 4.00 s → 12.0 s per run."
    )
    assert samples is not None
    assert [(shift.function, str(shift.verdict)) for shift in samples.shifts] == [("render", "heavier")]
    figures = {change.name: (change.base, change.head) for change in between.changes}
    assert figures["duration"] == pytest.approx((6000, 14000))
    assert figures["time on the loop"] == pytest.approx((4000, 12000), rel=0.01)


def test_a_program_against_itself_is_no_different(job: Job) -> None:
    """Neither its duration nor any function; the other way round the first one is faster."""
    slow, fast = job("slow", render_ms=30), job("fast", render_ms=10)

    same = compared(fast, fast)
    assert headline(same) == f"Against {same.base_id}: no difference beyond the noise within the runs."
    assert "took 6.00 s, not 14.0 s (×0.43). Better: render 12.0 s → 4.00 s per run" in headline(
        compared(slow, fast)
    )


@pytest.mark.parametrize("ending", [{"asked": True}, {"exit_status": 130}, {"exit_status": -2}])
def test_a_service_is_compared_per_second(job: Job, ending: dict[str, int]) -> None:
    """How long it ran was for its user to say: a signal ended it, or the status of one."""
    between = compared(job("base", render_ms=10, **ending), job("head", render_ms=30, **ending))

    assert (between.totals, getattr(between.contrast, "per", "")) == (False, "second")
    assert "took" not in headline(between)


def test_blocks_of_a_program_that_ends_are_counted_per_run(record: Record, look: Look) -> None:
    """As many blocks as before, in twice the time, are as many and not fewer."""
    made = []
    for name, ran_s in (("base", 20.0), ("head", 60.0)):
        one = record(name)
        one.loop(turns_ms=[120.0] * 30, ran_s=ran_s)
        for n in range(30):
            one.blocked(n / 2, 120, [look("orders.py:9 order")])
        one.ended(ran_s)
        one.close()
        made.append(one)

    (place,) = compared(*made).places
    assert (place.base_count, place.head_count, place.change) == (30, 30, "same")


def test_the_sentence_stands_at_the_top_of_each_report(full: Full, tmp_path: Path) -> None:
    """The second one, on the terminal, in Markdown and on the page, before any table."""
    before, after = full("before", blocks=0), full("after", blocks=14)
    before.close()
    after.close()
    arguments = [str(after.folder.path), "--against", str(before.folder.path)]
    terminal = CliRunner().invoke(report, arguments).output
    markdown = CliRunner().invoke(report, [*arguments, "--format", "md"]).output
    page = CliRunner().invoke(report, [*arguments, "--format", "html"]).output

    said = r"Against [\w-]+: worse: new block in Host.restart \(hosts.py:41\); "
    assert re.match(said, terminal.splitlines()[1])
    assert re.match(said, re.sub(r"\\|\*", "", markdown.splitlines()[2]))
    heading = page.partition("</header>")[0]
    assert re.search(r'<p class="headline">' + said, heading)
    assert "other run 0 ms</span>" in heading  # blocked
    assert heading.count('<span class="was">other run ') == 6
    order = re.findall(r'<section aria-labelledby="(\w+)"', page)
    assert order[:3] == ["checks", "comparison", "blocking"]


def test_without_another_run_nothing_is_said_of_one(full: Full) -> None:
    """No second sentence, no deltas."""
    page = render(full().document(), "html")

    assert 'class="headline"' not in page
    assert "other run" not in page


def test_a_comparison_is_another_file(full: Full) -> None:
    """The run's own report stays as it was; the comparison's name has the other run's id."""
    before, after = full("before", blocks=0), full("after")
    before.close()
    after.close()
    folder = after.folder.path
    CliRunner().invoke(report, [str(folder)])
    own = (folder / "report.html").read_text(), (folder / "report.json").read_text()
    output = CliRunner().invoke(report, [str(folder), "--against", str(before.folder.path)]).output

    written = folder / "report-against-20260102-030405-shop-7f3a.html"
    assert "Comparison with another run" in written.read_text()
    assert written.with_suffix(".json").exists()
    assert ((folder / "report.html").read_text(), (folder / "report.json").read_text()) == own
    assert written.name in output.replace("\n", "")


def test_two_different_programs_are_told(record: Record) -> None:
    """In one line: the parameters that differ, with both values, and a possible secret by name only."""
    runs = []
    for name, settings in (
        ("one", {"rate_per_s": 80, "url": "http://a"}),
        ("two", {"rate_per_s": 90, "url": "b"}),
    ):
        made = record(name, settings={"load": settings, "expect": {"blocks.count": name}})
        made.loop()
        made.ended()
        made.close()
        runs.append(made)
    same = compared(runs[0], runs[0])
    between = compared(*runs)

    assert same.not_same == ()
    assert between.not_same == ("load.rate_per_s (80, 90)", "load.url")
    output = (
        CliRunner()
        .invoke(report, [str(runs[1].folder.path), "--against", str(runs[0].folder.path), "--format", "md"])
        .output
    )
    assert "not the same: load.rate_per_s (80, 90); load.url" in output


def test_another_command_python_or_limit_is_told(record: Record) -> None:
    """But not another commit, and not the paths of a run's own files."""
    first = read_manifest(record("one").folder)
    raw = {name: getattr(first, name) for name in first.__slots__}
    other = type(first)(
        **{
            **raw,
            "command": ("python", "-m", "first"),
            "python": "3.13.0",
            "block_limit_ns": 10**7,
            "commit": "1",
        }
    )
    at = [type(first)(**{**raw, "command": ("serve", f"sqlite:/{where}/artefacts/q.db")}) for where in "ab"]

    assert list(not_same(first, other)) == [
        "command (python -m shop, python -m first)",
        "Python (3.12.1, 3.13.0)",
        "block limit (100 ms, 10 ms)",
    ]
    assert list(not_same(*at)) == []
