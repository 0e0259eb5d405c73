"""`pytest --harness-base REV`: the benchmarks of a suite compared with those of a revision."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.support.benchmark_suite import PLUGINS, committed, git, pytest_running, taking, trees, write
from tests.support.commanded import Ended, running, wait

pytestmark = pytest.mark.timeout(400)
COMPARED = "==== benchmarks against "
SLEEPING = """
import time
@pytest.mark.benchmark(timer=time.perf_counter, max_time=0.1)
def test_it(benchmark): benchmark(time.sleep, 0.2)
"""
ROW = re.compile(r"^(slower|faster|no difference|cannot tell|accepted) +\S+?::(\w+):? (.*)$", re.MULTILINE)


def failing(name: str, why: str) -> str:
    """A benchmark that fails."""
    return f"def test_{name}(benchmark): benchmark(takes, {why})\n"


def compared(
    folder: Path, *options: str, base: str = "main", plugins: tuple[str, ...] = PLUGINS
) -> tuple[Ended, dict[str, str]]:
    """pytest's end, and what is said of each benchmark."""
    with pytest_running(folder, "--harness-base", base, *options, plugins=plugins) as run:
        ended = run.ended(within_s=380)
        assert run.all_gone()
    _, _, section = ended.stdout.partition(COMPARED)
    return ended, {name: f"{verdict}: {text}" for verdict, name, text in ROW.findall(section)}


@pytest.mark.long
def test_every_benchmark_has_a_verdict_and_none_passes_in_silence(tmp_path: Path) -> None:
    """Slower, faster and equal ones; renamed, new, removed, skipped, and failing on either side.

    What pytest-benchmark writes is written once, by the run itself, and nothing stays of the base.
    """
    base = [taking(name, 10) for name in ("same", "grows", "shrinks", "with_the_old_name", "gone_at_last")]
    base += [taking("skipped", 10), taking("breaks", 10), failing("mended", "1 / 0")]
    base += ["def test_awaits(async_benchmark): async_benchmark(takes_async, 10)\n"]
    head = [taking("same", 10), taking("grows", 12), taking("shrinks", 8), taking("with_the_new_name", 10)]
    head += ["@pytest.mark.skip('not today')\n", taking("skipped", 10), "def test_other(): pass\n"]
    head += [failing("breaks", "[][1]"), taking("mended", 10), taking("quite", 1)]
    head += ["def test_awaits(async_benchmark): async_benchmark(takes_async, 12)\n"]
    folder = committed(tmp_path / "shop", "".join(base))
    write(folder, "".join(head))

    ended, said = compared(folder, "--benchmark-json=out.json", "--benchmark-autosave", "test_it.py")
    (decision,) = folder.glob("reports/*/decision.json")
    decided = json.loads(decision.read_text())
    measured = [one["name"] for one in json.loads((folder / "out.json").read_text())["benchmarks"]]

    seen = "every change could be seen"
    confirmed = "(+20.0 to +20.0 %), confirmed by 5 fresh pairs"
    assert said == {
        "test_grows": f"slower: 10 ms → 12 ms, +20.0 % {confirmed}",
        "test_awaits": f"slower: 10 ms → 12 ms, +20.0 % {confirmed}",
        "test_shrinks": "faster: 10 ms → 8 ms, -20.0 % (-20.0 to -20.0 %), confirmed by 5 fresh pairs",
        "test_same": f"no difference: 10 ms → 10 ms, +0.0 % ({seen})",
        "test_with_the_old_name": "cannot tell: not in the head, which has "
        "test_it.py::test_with_the_new_name: renamed?",
        "test_with_the_new_name": "cannot tell: not in the base, which has "
        "test_it.py::test_with_the_old_name: renamed?",
        "test_gone_at_last": "cannot tell: not in the head",
        "test_quite": "cannot tell: not in the base",
        "test_skipped": "cannot tell: head: skipped: not today",
        "test_breaks": "cannot tell: head: failed: IndexError: list index out of range",
        "test_mended": "cannot tell: base: failed: ZeroDivisionError: division by zero",
    }
    assert ended.status == 1
    assert (decided["exit_status"], decided["pairs"]) == (1, 10)
    assert sorted(measured) == sorted(
        f"test_{name}"
        for name in ("same", "grows", "shrinks", "mended", "quite", "awaits", "with_the_new_name")
    )
    assert len(list(folder.glob(".benchmarks/*/*.json"))) == 1
    assert trees(folder) == 1


AWAITING = """
import asyncio
async def save(tasks):
    takes(10)
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(tasks)))
def test_saves(async_benchmark): async_benchmark(save, {})
"""


@pytest.mark.long
def test_a_task_more_per_operation_is_slower_whatever_the_time_says(tmp_path: Path) -> None:
    """What `async_benchmark` counts is exact. What is the same is not told."""
    folder = committed(tmp_path / "shop", AWAITING.format(2))
    write(folder, AWAITING.format(3))
    ended, said = compared(folder, "-q")

    assert said["test_saves"] == "no difference: 10 ms → 10 ms, +0.0 % (every change could be seen)"
    assert "slower         test_it.py::test_saves tasks 2 → 3, +50.0 % (+50.0 to +50.0 %)\n" in ended.stdout
    assert "slower         test_it.py::test_saves callbacks " in ended.stdout
    assert ended.status == 1


# Begins as pytest-cov does: as the first, unless it is told not to.
COVERING = """
import sys, pytest

def pytest_addoption(parser):
    parser.addoption("--no-cov", action="store_true", default=False)

@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config):
    if not early_config.known_args_namespace.no_cov:
        sys.settrace(lambda *_: None)
"""


@pytest.mark.long
def test_equal_benchmarks_end_with_0_also_beside_xdist_and_coverage(tmp_path: Path) -> None:
    """The comparison has processes of its own: nothing runs beside a benchmark, and nothing traces it."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "covering.py").write_text(COVERING)
    folder = committed(tmp_path / "shop", taking("same", 10) + taking("other", 10))
    ended, said = compared(folder, "-n", "2", plugins=(*PLUGINS, "xdist.plugin", "covering"))

    assert {text.partition(":")[0] for text in said.values()} == {"no difference"}
    assert (len(said), ended.status) == (2, 0)


@pytest.mark.parametrize(
    ("head", "option", "why"),
    [
        ("", "--benchmark-disable", "on both sides: disabled: pytest-benchmark measures nothing"),
        pytest.param(
            *(
                "",
                "--benchmark-skip",
                "on both sides: skipped: Skipping benchmark (--benchmark-skip active).",
            ),
            marks=pytest.mark.long,
        ),
        pytest.param(
            *("pytestmark = pytest.mark.skip('moved')\n", "-q", "head: skipped: moved"),
            marks=pytest.mark.long,
        ),
        pytest.param(
            "import sys; sys.settrace(lambda *_: None)\n",
            "-q",
            "head: measured under a tracer or profiler",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "raise RuntimeError('broken')\n",
            "-q",
            "not in the head, where its file cannot be collected: ",
            marks=pytest.mark.long,
        ),
        ("del pytestmark, test_it\n", "-q", "not in the head"),
    ],
    ids=["disabled", "skipped", "skipped there", "traced", "broken", "missing"],
)
def test_what_cannot_be_compared_is_not_green(tmp_path: Path, head: str, option: str, why: str) -> None:
    """It is named with the reason, and no pair is run for it."""
    folder = committed(tmp_path / "shop", taking("it", 10))
    write(folder, taking("it", 10) + head)
    ended, said = compared(folder, option, "--continue-on-collection-errors")

    assert said["test_it"].startswith(f"cannot tell: {why}")
    assert ended.status == (1 if "broken" in head else 3)
    assert "\n0 pairs of base and head" in ended.stdout


@pytest.mark.long
def test_a_suite_without_benchmarks_is_not_green(tmp_path: Path) -> None:
    """Whoever asks for a comparison and gets none is told; tests that fail keep their status."""
    folder = committed(tmp_path / "shop", "def test_other(): pass\n")
    ended, said = compared(folder)
    write(folder, "def test_other(): raise RuntimeError\n")
    failing, _ = compared(folder)

    assert said == {}
    assert "cannot tell: nothing that decides was measured" in ended.stdout
    assert (ended.status, failing.status) == (3, 1)


@pytest.mark.long
def test_a_file_that_the_base_has_not_is_new(tmp_path: Path) -> None:
    """Its benchmarks are; the base does not run everything instead."""
    folder = committed(tmp_path / "shop", taking("it", 10))
    write(folder, taking("new", 10), name="test_new.py")
    ended, said = compared(folder, "test_new.py")
    accepted, told = compared(folder, "test_new.py", "--harness-allow-new", "*")

    assert said == {"test_new": "cannot tell: not in the base"}
    assert (
        "--harness-allow-new NAME and --harness-allow-missing NAME accept benchmarks of one" in ended.stdout
    )
    # Nothing else was compared, and nothing is no verdict.
    assert told == {"test_new": "accepted: not in the base"}
    assert (ended.status, accepted.status) == (3, 3)


@pytest.mark.long
def test_what_is_new_or_gone_can_be_accepted(tmp_path: Path) -> None:
    """It is named all the same; the rest decides."""
    folder = committed(tmp_path / "shop", taking("same", 10) + taking("gone", 10))
    write(folder, taking("same", 10) + taking("quite", 10))
    ended, said = compared(folder, "--harness-allow-new=*::test_q*", "--harness-allow-missing=*::test_gone")

    assert said == {
        "test_same": "no difference: 10 ms → 10 ms, +0.0 % (every change could be seen)",
        "test_quite": "accepted: not in the base",
        "test_gone": "accepted: not in the head",
    }
    assert ended.status == 0


@pytest.mark.long
def test_code_of_another_tree_is_not_measured_for_the_base(tmp_path: Path) -> None:
    """Otherwise the head would be compared with itself, and nothing would ever be slower."""
    folder = committed(tmp_path / "shop", taking("it", 10))
    path = folder / "test_it.py"
    path.write_text(f"import sys; sys.path.insert(0, {str(folder)!r})\n{path.read_text()}")
    git(folder, "commit", "-q", "-a", "-m", "takes its code from one place")
    ended, _ = compared(folder)

    assert ended.status == 4
    assert f"base: imports work from {folder / 'work.py'}, which is not of this revision" in ended.stderr
    assert trees(folder) == 1


def test_what_is_wrong_is_said_before_any_test_runs(tmp_path: Path) -> None:
    """As pytest does with its own options: status 4."""
    folder = committed(tmp_path / "shop", taking("it", 10))
    git(folder, "commit", "-q", "--allow-empty", "-m", "second")
    git(tmp_path, "clone", "-q", "--depth", "1", folder.as_uri(), "shallow")
    unknown, _ = compared(folder, base="no-such")
    shallow, _ = compared(tmp_path / "shallow", base=git(folder, "rev-parse", "HEAD~1"))
    limit, _ = compared(folder, "--harness-limit=none")
    without, _ = compared(folder, plugins=("harness.benchmark_plugin",))

    assert [one.status for one in (unknown, shallow, limit, without)] == [4, 4, 4, 4]
    assert "no-such: neither a file nor a revision of this git repository" in unknown.stderr
    assert "this clone is shallow" in shallow.stderr
    assert "fetch-depth: 0" in shallow.stderr
    assert "--harness-limit: expected a share above 0" in limit.stderr
    assert "needs pytest-benchmark: pip install pytest-benchmark" in without.stderr
    assert not any(COMPARED in one.stdout for one in (unknown, shallow, limit, without))


@pytest.mark.long
def test_a_revision_that_cannot_be_installed_ends_with_4(tmp_path: Path) -> None:
    """With pip's reason; the base's work tree is removed."""
    folder = committed(tmp_path / "shop", taking("it", 10))
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    given = ("--harness-base", "main", "--harness-install=no-such-package-anywhere")
    with pytest_running(folder, *given, env=env) as run:
        ended = run.ended(within_s=300)
        assert run.all_gone()

    assert ended.status == 4
    assert "main (" in ended.stderr
    assert "no-such-package-anywhere" in ended.stderr
    assert "not compared: harness bench ended with 4, see above" in ended.stdout
    assert trees(folder) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_end_in_the_middle_leaves_nothing(tmp_path: Path, number: int) -> None:
    """After a Ctrl-C what is known is told; after `kill -9` of pytest, the comparison ends by itself."""
    folder = committed(tmp_path / "shop", SLEEPING)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = {"TMPDIR": str(temporary)}
    with pytest_running(folder, "--harness-base=main", env=env) as run:
        wait(lambda: any("benchmark_run.py" in one for one in run.processes().values()), within_s=100)
        assert trees(folder) == 2
        run.process.send_signal(number)
        ended = run.ended()
        assert run.all_gone()

    assert trees(folder) == 1
    assert list(temporary.glob("harness-*")) == []
    assert ended.status == (2 if number == signal.SIGINT else -9)
    assert ("interrupted after 0 pairs" in ended.stdout) == (number == signal.SIGINT)


@pytest.mark.long
def test_a_suite_against_itself_tells_the_noise(tmp_path: Path) -> None:
    """`harness bench --pytest` is the same without pytest around it; with ``--aa`` it needs no repository."""
    write(tmp_path, taking("it", 10))
    with running("bench", "--aa", "--pytest", "test_it.py", "--json", cwd=tmp_path, out="bench") as run:
        ended = run.ended(within_s=380)
        assert run.all_gone()
    decided = json.loads(ended.stdout)

    assert ended.status == 0
    assert decided["pairs"] == 25
    assert [one["name"] for one in decided["false_alarms"]] == ["test_it.py::test_it"]
