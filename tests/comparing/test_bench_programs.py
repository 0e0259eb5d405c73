"""`harness bench` with two programs, as people run it.

Most programs here tell their own figures, so that the machine's speed decides nothing.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.record.comparison import pairs
from harness.record.run_folder import RunFolder
from tests.support.commanded import Ended, harness, running, wait
from tests.support.no_bytecode import without_bytecode

FAST = (sys.executable, "-I", "-S", "-c")


def telling(**figures: float) -> str:
    """A program that says what it cost, whatever it did."""
    told = {"cpu_ms": 50.0, "wall_ms": 60.0, "peak_mb": 20.0} | figures
    return shlex.join(("echo", json.dumps(told)))


def bench(cwd: Path, base: str, head: str | None, *options: object) -> Ended:
    sides = ("--base-command", base) + (("--head-command", head) if head is not None else ())
    with running("bench", *sides, "--seed", 1, "--no-why", *options, cwd=cwd, out="bench") as run:
        ended = run.ended(within_s=110)  # it starts some forty programs
        assert run.all_gone()
    return ended


def decided(ended: Ended) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def answers(ended: Ended) -> dict[str, str]:
    return {one["name"]: one["answer"] for one in decided(ended)["measures"]}


def test_a_slower_program_ends_with_1(tmp_path: Path) -> None:
    """After ten pairs, the fewest that confirm it; they and the decision are kept in the folder."""
    ended = bench(tmp_path, telling(), telling(cpu_ms=53.0), "--json")
    kept = json.loads((tmp_path / "bench" / "decision.json").read_text())

    assert ended.status == 1
    assert decided(ended)["sentence"] == (
        "slower: cpu_ms 50 ms → 53 ms, +6.0 % (+6.0 to +6.0 %), confirmed by 5 fresh pairs"
    )
    assert answers(ended) == {"cpu_ms": "slower", "wall_ms": "no difference", "peak_mb": "no difference"}
    assert kept == decided(ended)
    assert len(pairs.read(tmp_path / "bench" / "pairs.jsonl")) == kept["pairs"] == 10


def test_an_equal_or_faster_program_ends_with_0(tmp_path: Path) -> None:
    """With the figures in a table: what could have been seen stands beside the verdict."""
    same = bench(tmp_path, telling(), telling())
    (tmp_path / "bench").rename(tmp_path / "first")
    faster = bench(tmp_path, telling(), telling(cpu_ms=40.0))

    assert (same.status, faster.status) == (0, 0)
    assert same.stdout.startswith("no difference that matters: cpu_ms +0.0 %")
    assert "noise" in same.stdout
    assert "5 pairs of base and head in both orders" in same.stdout
    assert faster.stdout.startswith("faster: cpu_ms 50 ms → 40 ms, -20.0 %")


@pytest.mark.long
def test_a_program_that_only_waits_longer_raises_an_alarm(tmp_path: Path) -> None:
    """CPU time does not see it; the wall clock does. Without the alarm, nothing is slower."""
    waiting = telling(wall_ms=90.0)
    ended = bench(tmp_path, telling(), waiting, "--json")
    (tmp_path / "bench").rename(tmp_path / "first")
    only_cpu = bench(tmp_path, telling(), waiting, "--metric", "cpu_ms", "--json")

    assert (ended.status, only_cpu.status) == (1, 0)
    assert answers(ended)["wall_ms"] == "slower"


def test_noise_is_told_and_ends_with_3(tmp_path: Path) -> None:
    """A program whose figures say nothing: it cannot be told, and from which change on it could be."""
    # The same figures in every test: of others, one comparison in a hundred may be a false alarm.
    number = "n=$(cat number); echo $((n + 1)) >number; digest=$(echo $n | md5sum)"
    noisy = shlex.join(("bash", "-c", number + """; echo "{\\"cpu_ms\\": $((16#${digest:0:4} + 1))}" """))
    (tmp_path / "number").write_text("1")
    ended = bench(tmp_path, noisy, noisy, "--metric", "cpu_ms")

    assert ended.status == 3
    assert ended.stdout.startswith("cannot tell: cpu_ms: ")


def test_figures_of_the_program_itself_can_decide(tmp_path: Path) -> None:
    """Each with its own limit; work that is counted makes CPU time per item the measure."""
    base, head = telling(queries=100, items=10), telling(queries=102, items=20)
    ended = bench(tmp_path, base, head, "--metric", "queries=1%", "--metric", "cpu_us_per_item", "--json")
    found = {one["name"]: one for one in decided(ended)["measures"]}

    assert ended.status == 1
    assert (found["queries"]["answer"], found["queries"]["limit"]) == ("slower", 0.01)
    assert (found["cpu_us_per_item"]["base"], found["cpu_us_per_item"]["head"]) == (5000, 2500)
    assert found["cpu_us_per_item"]["answer"] == "faster"


def test_a_figure_that_is_new_or_gone_decides_unless_that_is_allowed(tmp_path: Path) -> None:
    """It is named in the sentence; only what is said to be new is accepted as new."""
    base, head = telling(rows=7), telling(queries=7)
    asked = ("--metric", "cpu_ms", "--metric", "rows", "--metric", "queries")
    ended = bench(tmp_path, base, head, *asked, "--allow-new", "queries", "--allow-new", "rows")
    (tmp_path / "bench").rename(tmp_path / "first")
    allowed = ("--allow-new", "queries", "--allow-missing", "rows")
    accepted = bench(tmp_path, base, head, *asked, *allowed, "--quiet")

    assert (ended.status, accepted.status) == (3, 0)
    assert ended.stdout.startswith(
        "cannot tell: rows: not measured in the head; accepted without a comparison: queries (new)\n"
    )
    assert "rows: not measured in the head\nqueries: not measured in the base\n" in ended.stdout
    assert "--allow-new NAME and --allow-missing NAME accept them" in ended.stdout
    assert accepted.stdout.startswith("no difference that matters: cpu_ms +0.0 % (")
    assert accepted.stdout.endswith("; accepted without a comparison: rows (missing), queries (new)\n")


@pytest.mark.long
def test_a_real_program_that_computes_more_is_slower(tmp_path: Path) -> None:
    """Measured by the kernel, the children's time included."""
    burn = "import time\nwhile time.process_time() < {}: pass"
    base, head = (
        shlex.join(("sh", "-c", shlex.join((*FAST, burn.format(s))) + "; true")) for s in (0.03, 0.12)
    )
    ended = bench(tmp_path, base, head, "--metric", "cpu_ms", "--json")
    (cpu,) = (one for one in decided(ended)["measures"] if one["name"] == "cpu_ms")

    assert ended.status == 1
    assert cpu["change"] > 0.5
    assert cpu["base"] >= 30


def test_a_side_that_fails_ends_with_4(tmp_path: Path) -> None:
    """Named, with what it wrote last; nothing is compared."""
    failing = shlex.join((*FAST, "raise SystemExit('the database is away')"))
    ended = bench(tmp_path, telling(), failing)

    assert ended.status == 4
    assert ended.stderr.splitlines() == [
        "harness: head: the program ended with status 1",
        "  the database is away",
    ]


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    """With its children; the error says which side."""
    hanging = shlex.join(("sh", "-c", "sleep 300 & sleep 300"))
    ended = bench(tmp_path, telling(), hanging, "--run-timeout", 0.3)

    assert ended.status == 4
    assert "harness: head: the program did not end within 0.3 s" in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "name a SCENARIO, a --command, a --pytest, or a --base-command and a --head-command"),
        (("--base-command", "true"), "nothing to compare with: name a --head-command, or --aa"),
        (("--base-command", "true", "--head-command", "no-such-program"), "no-such-program: no such program"),
        (("--base-command", "a 'b", "--head-command", "true"), "a 'b: no closing quotation"),
        (("--command", "true", "--base", "HEAD", "--install", "-e '."), "-e '.: no closing quotation"),
        (
            ("--base-command", "true", "--aa", "--head-command", "true"),
            "--aa compares the base with itself; name no head",
        ),
        (("--base-command", "true", "--aa", "--limit", "0%"), "--limit: expected a share above 0"),
        (
            ("--base-command", "true", "--aa", "--metric", "queries"),
            "--metric queries: no such figure was measured",
        ),
    ],
)
def test_what_cannot_be_done_ends_with_2(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    """With one line that says why."""
    ended = harness("bench", *options, cwd=tmp_path, out="bench")

    assert ended.status == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_ctrl_c_tells_what_is_known(tmp_path: Path) -> None:
    """130, the pairs so far with the reason, and no process left."""
    slow = shlex.join(("sh", "-c", f"sleep 0.05; {telling()}"))
    noisy = shlex.join(("bash", "-c", """sleep 0.05; echo "{\\"cpu_ms\\": $((RANDOM + 1))}" """))
    taken = tmp_path / "bench" / "pairs.jsonl"
    with running("bench", "--base-command", slow, "--head-command", noisy, cwd=tmp_path, out="bench") as run:
        wait(lambda: taken.exists() and taken.read_text().count("\n") >= 2)
        run.process.send_signal(signal.SIGINT)
        ended = run.ended()
        assert run.all_gone()

    assert ended.status == 130
    assert ended.stdout.startswith("cannot tell: cpu_ms: interrupted after ")
    assert json.loads((tmp_path / "bench" / "decision.json").read_text())["interrupted"]


def test_nothing_outlives_a_killed_runner(tmp_path: Path) -> None:
    """The program that runs is ended as well, and no temporary file is left."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    sleeping = shlex.join(("sh", "-c", "echo > started; sleep 300 & sleep 300"))
    env = {"TMPDIR": str(temporary)}
    with running("bench", "--base-command", sleeping, "--aa", cwd=tmp_path, out="bench", env=env) as run:
        wait(lambda: (tmp_path / "started").exists())
        assert list(temporary.glob("harness-bench-*"))
        run.process.kill()
        run.ended()

        assert run.all_gone()
    assert list(temporary.iterdir()) == []


def test_what_nobody_could_remove_the_next_comparison_does(tmp_path: Path) -> None:
    """Where all processes of a comparison were killed at once; that of one which still runs is kept."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {"TMPDIR": str(temporary)}
    sleeping = shlex.join(("sh", "-c", "echo > started; sleep 300"))

    def folders() -> set[Path]:
        return set(temporary.glob("harness-bench-*"))

    with running("bench", "--base-command", sleeping, "--aa", cwd=tmp_path, out="killed", env=env) as run:
        wait(lambda: (tmp_path / "started").exists())
        for pid in run.processes():
            os.kill(pid, signal.SIGSTOP)  # so that none of them removes anything when another one ends
        for pid in run.processes():
            os.kill(pid, signal.SIGKILL)
        run.ended()
    left = folders()
    (tmp_path / "started").unlink()
    with running("bench", "--base-command", sleeping, "--aa", cwd=tmp_path, out="living", env=env) as run:
        wait(lambda: (tmp_path / "started").exists())
        held = folders()
        other = harness(
            "bench", "--base-command", "true", "--aa", "--max-minutes=0.001", cwd=tmp_path, env=env
        )

        assert other.status in (0, 3)  # whether or not the time was enough
        assert folders() == held
    assert len(left) == len(held) == 1
    assert not left & held


def test_time_that_is_over_is_the_reason(tmp_path: Path) -> None:
    """What is not settled by then cannot be told."""
    slow = shlex.join(("sh", "-c", f"sleep 0.05; {telling()}"))
    ended = bench(tmp_path, slow, slow, "--max-minutes", 0.005)

    assert ended.status == 3
    assert "the 0.005 minutes were over after " in ended.stdout


def limited(folder: Path, *options: object, size: int) -> Ended:
    """`harness bench` where no file may be larger, which is what a full disk looks like."""
    command = shlex.join([sys.executable, "-m", "harness", "bench", "--no-why", *map(str, options)])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f {size}; exec {command}"],
        cwd=folder,
        env=without_bytecode(),
        capture_output=True,
        text=True,
        timeout=110,
    )
    return Ended(done.returncode, done.stdout, done.stderr, RunFolder(folder))


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """Pairs that cannot be kept end it with 3; what is known so far is told."""
    ended = limited(tmp_path, "--out", "bench", "--base-command", telling(), "--aa", size=1)

    assert ended.status == 3
    first, *notes = ended.stderr.splitlines()
    assert first.endswith("pairs.jsonl: cannot be written: File too large")
    assert any(note.startswith("  So far, after ") for note in notes)


def test_a_decision_that_cannot_be_kept_is_shown(tmp_path: Path) -> None:
    """On stdout; the status is 3, since its file is missing, and the reason is one line."""
    # Longer than all of the pairs: the decision has it.
    program = shlex.join(("sh", "-c", f"{telling()}; : {'x' * 2_000}"))
    ended = limited(tmp_path, "--out=bench", f"--base-command={program}", f"--head-command={program}", size=2)

    assert ended.status == 3
    assert ended.stdout.startswith("no difference that matters: cpu_ms")
    (line,) = [line for line in ended.stderr.splitlines() if "harness: " in line]
    assert line.endswith("decision.json: cannot be written: File too large")


def test_a_figure_that_one_side_lacks_cannot_be_told(tmp_path: Path) -> None:
    """If it decides; otherwise its row says so, and the others decide."""
    base, head = telling(), telling(queries=5)
    asked = bench(tmp_path, base, head, "--metric", "queries", "--json")
    (tmp_path / "bench").rename(tmp_path / "first")
    other = bench(tmp_path, base, head, "--json")

    assert (asked.status, other.status) == (3, 0)
    assert decided(asked)["sentence"] == "cannot tell: queries: not measured in the base"
    assert answers(other)["queries"] == "cannot tell"


def test_a_program_against_itself_tells_the_noise(tmp_path: Path) -> None:
    """25 pairs, from which change on one can see here, and how many false alarms there would be."""
    ended = bench(tmp_path, telling(), None, "--aa", "--json")
    found = decided(ended)

    assert ended.status == 0
    assert found["sentence"].startswith(
        "changes can be seen here: cpu_ms from every change on; 0 false alarms"
    )
    assert found["pairs"] == 25
    assert {one["name"]: one["slower"] for one in found["false_alarms"]}["cpu_ms"] == 0


def test_markdown_is_made_for_a_pull_request(tmp_path: Path) -> None:
    """The verdict first, one table, the rest folded."""
    ended = bench(tmp_path, telling(), telling(), "--format", "md")

    assert ended.stdout.startswith("### ✅ no difference that matters: cpu_ms")
    assert "| `cpu_ms` | 50 ms | 50 ms | +0.0 % |" in ended.stdout
    assert ended.stdout.endswith("</details>\n")
