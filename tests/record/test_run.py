"""A run's folder and its manifest, and the pages of counters."""

from __future__ import annotations

import json
import time
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecordError, UsageError
from harness.record import page
from harness.record.probe_config import ProbeConfig
from harness.record.run import Expectation, Run, create, new_id, read_manifest
from harness.record.run_folder import RunFolder


def manifest(seed: int = 2) -> Run:
    return Run(
        id=new_id("first"),
        scenario="first",
        started="2026-01-01T00:00:00+00:00",
        started_ns=1,
        seed=seed,
        python="3.12.1",
        commit="abc",
        command=("python", "-m", "shop"),
        block_limit_ns=100,
        expectations=(Expectation("ledger.lost", "==", 0.0),),
        max_late_ms=50.0,
        settings={"load": {"rate_per_s": 5}},
    )


def test_a_manifest_comes_back_as_it_went(tmp_path: Path) -> None:
    """Whole values."""
    run = manifest()
    folder = create(tmp_path / "r", run)

    assert read_manifest(RunFolder(tmp_path / "r")) == run
    assert folder.events.is_dir()
    assert folder.loops.is_dir()


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    """The second run gets an error, the first one stays."""
    first = manifest()
    create(tmp_path, first)

    with pytest.raises(UsageError, match="holds a run already"):
        create(tmp_path, manifest(seed=3))
    assert read_manifest(RunFolder(tmp_path)) == first


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no record of a run here"),
        ("{", "damaged: expected JSON"),
        ("[]", "not a run's manifest"),
        ('{"format": 99}', "format: expected a number up to 1, got 99"),
        ('{"format": "x"}', 'format: expected a number up to 1, got "x"'),
        ('{"format": 1, "schema": 99}', "schema: expected a number up to 1, got 99"),
        ('{"format": 1, "schema": "x"}', 'schema: expected a number up to 1, got "x"'),
        ('{"format": 1}', "damaged: the key id is missing"),
        ('{"format": 1, "id": 7}', "id: unexpected value 7"),
        ('{"format": 1, "seed": "7"}', "seed: unexpected value '7'"),
    ],
)
def test_a_folder_without_a_good_manifest_is_one_clear_error(
    content: str | None, complaint: str, tmp_path: Path
) -> None:
    """Where, and what is wrong."""
    if content is not None:
        (tmp_path / "run.json").write_text(content)

    with pytest.raises(RecordError, match=complaint) as caught:
        read_manifest(RunFolder(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    """Somebody completes the path to its end: the note has the folder."""
    (tmp_path / "run.json").write_text("{}")

    with pytest.raises(RecordError, match=r"run.json: expected the folder of a run, got a file") as caught:
        read_manifest(RunFolder(tmp_path / "run.json"))
    assert caught.value.__notes__ == [f"Name its folder: {tmp_path}"]


@pytest.mark.parametrize(
    "damage",
    [
        {"max_late_ms": float("nan")},
        {"max_late_ms": float("inf")},
        {"block_limit_ns": -1},
        {"expectations": [{"key": "loop.turns", "comparison": "<", "limit": float("nan")}]},
    ],
)
def test_a_limit_that_is_none_is_one_clear_error(damage: dict[str, Any], tmp_path: Path) -> None:
    """Nothing is above or below NaN, so nothing could be judged by it."""
    (tmp_path / "run.json").write_text(json.dumps(asdict(manifest()) | damage))

    with pytest.raises(RecordError, match=rf"run.json: {next(iter(damage))}: "):
        read_manifest(RunFolder(tmp_path))


@pytest.mark.parametrize("key", [f.name for f in fields(Run) if f.default is f.default_factory is MISSING])
@pytest.mark.parametrize("value", [None, [1], {"a": 1}])
def test_a_manifest_with_a_wrong_value_is_one_clear_error(key: str, value: object, tmp_path: Path) -> None:
    """Each key by its name, whatever stands there; a missing one, too."""
    raw = asdict(manifest())
    for content, complaint in (
        (raw | {key: value}, f"{key}: unexpected value"),
        ({name: raw[name] for name in raw if name != key}, f"the key {key} is missing"),
    ):
        (tmp_path / "run.json").write_text(json.dumps(content))
        if isinstance(content.get(key), type(raw[key])) or (key == "command" and isinstance(value, list)):
            continue  # as it should be
        with pytest.raises(RecordError, match=complaint):
            read_manifest(RunFolder(tmp_path))


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="cannot be written"):
        create(tmp_path / "file" / "run", manifest())


def test_run_ids_sort_by_time_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of folders in their order; runs of the same second do not share one."""
    seconds = iter([0, 1, 59, 3599, 86_399, 2_678_400, 31_536_000, 1_600_000_000])
    with monkeypatch.context() as patched:
        patched.setattr(time, "gmtime", lambda: time.localtime(next(seconds)))
        one_by_one = [new_id("first") for _ in range(8)]
    together = {new_id("first") for _ in range(50)}

    assert one_by_one == sorted(one_by_one)
    assert [name.split("-")[2] for name in one_by_one] == ["first"] * 8
    assert len(together) == 50


def test_a_page_reads_back_what_was_counted(tmp_path: Path) -> None:
    """From outside, while it is mapped."""
    words = page.create(tmp_path / "p.page", started_ns=5, limit_ns=6)
    words[page.TURN], words[page.TURNS], words[page.COUNTS + 3], words[page.SUMS + 3] = 7, 8, 9, 10

    seen = page.read(tmp_path / "p.page")

    assert seen is not None
    assert (seen.turn_ns, seen.turns, seen.counts[3], seen.sums_ns[3]) == (7, 8, 9, 10)
    assert (seen.started_ns, seen.limit_ns) == (5, 6)


@pytest.mark.parametrize("content", [b"", b"short", bytes(page.WORDS * 8)])
def test_what_is_no_page_is_none(content: bytes, tmp_path: Path) -> None:
    """A page that is not ready yet, or something else."""
    (tmp_path / "p.page").write_bytes(content)

    assert page.read(tmp_path / "p.page") is None
    assert page.read(tmp_path / "nothing.page") is None


@pytest.mark.parametrize(
    "order",
    [
        ProbeConfig(folder="/run", limit_ns=1),
        ProbeConfig(folder="/run", limit_ns=1, control="/tmp/x", profile_span="process restart"),
    ],
)
def test_an_order_comes_back_as_it_went(order: ProbeConfig) -> None:
    """Through the environment variable's text; the folder is its first line."""
    assert ProbeConfig.parse(order.text()) == order
    assert order.text().startswith("folder=/run\n")


def test_a_text_that_is_no_order_is_an_error() -> None:
    """Somebody else's variable of that name."""
    with pytest.raises(ValueError, match="expected at least folder= and limit_ns="):
        ProbeConfig.parse("1")
