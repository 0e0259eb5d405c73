"""The table of ratios at the end of a session, and which Python the workloads run on."""

from __future__ import annotations

import sys
from dataclasses import asdict

import pytest

from harness.read.compare.decision import figure

from . import sides

ROWS = pytest.StashKey[list[tuple[str, ...]]]()
HEADER = (
    "what",
    "with",
    "measure",
    "without",
    "with it",
    "change",
    "95 % interval",
    "visible from",
    "verdict",
)


def pytest_addoption(parser):
    parser.addoption(
        "--target-python",
        default=sys.executable,
        help="the Python that runs the workloads of test_turn_cost.py; nothing needs to be installed there",
    )
    parser.addoption(
        "--pairs",
        type=int,
        help="pairs of runs for every ratio, whatever each has by itself: 4 times as many halve the noise",
    )


def pytest_configure(config):
    config.stash[ROWS] = []


@pytest.fixture
def tell(request, benchmark):
    """Says what pairs of samples tell: in the table, and in pytest-benchmark's JSON."""

    def tell(what, variant, pairs):
        benchmark.group = what
        found = sides.judge(pairs)
        benchmark.extra_info.update({one.name: asdict(one) for one in found}, pairs=len(pairs))
        request.config.stash[ROWS] += [_row(what, variant, one) for one in found]

        assert all(one.change is not None and one.change > -1 for one in found)

    return tell


@pytest.fixture
def compare(request, benchmark, tell):
    """Measures two sides in pairs, and says what they tell."""

    def compare(what, variant, base, head, *, pairs):
        pairs = request.config.getoption("--pairs") or pairs
        tell(what, variant, sides.measure(benchmark, base, head, pairs=pairs))

    return compare


@pytest.fixture
def absent(request):
    """Says in the table that something could not be measured, and skips the test."""

    def absent(what, variant, why):
        request.config.stash[ROWS].append((what, variant, why))
        pytest.skip(f"{variant}: {why}")

    return absent


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[ROWS]
    if rows:
        terminalreporter.section("changes, medians of pairs")
        cells = [row + ("",) * (len(HEADER) - len(row)) for row in [HEADER, *rows]]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            terminalreporter.line("  ".join(map(str.ljust, row, widths)).rstrip())


def _row(what, variant, one):
    return (
        what,
        variant,
        one.name,
        f"{one.base:.4g}",
        f"{one.head:.4g}",
        figure.change(one),
        figure.interval(one),
        figure.visible(one),
        one.answer,
    )
