"""What `harness attach` does to a service that nobody prepared, under load.

    python benchmarks/entered.py                       # 20 times each kind of loop; Python 3.14 and later
    python benchmarks/entered.py --times 3 --loops uvloop

Each time a service of its own gets requests at a steady rate; latency counts from when each was due. The
service is entered, recorded for three seconds, and left: the p99 of the worst second from the start of the
command until a second after its end is compared with the worst second before. Without load it is then entered
once more, one request holds the loop for 150 ms, and the time counts from that block's end until the record
has it. In the end the threads, descriptors and signal handlers are those of before, as the kernel sees them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from harness.record.observation import Blocked
from harness.record.reader import Follower

WORKLOADS = Path(__file__).parent / "workloads"
LOOPS = ("asyncio", "uvloop", "thread")
BEFORE_S, RECORDED_S, AFTER_S = 5.0, 3.0, 1.0
# Windows of a second, one each quarter of a second.
WINDOW_S, STEP_S = 1.0, 0.25
PATIENCE_S = 30.0
# 32 and 33, which libc handles from the first thread on.
LIBC_SIGNALS = 0b11 << 31

Requests = Sequence[tuple[float, float]]  # due, seconds until the answer


@dataclass(frozen=True)
class Trial:
    """One service that was entered."""

    before_ms: float  # the worst second's p99
    entered_ms: float  # the same from the start of the entry until after the end
    named_ms: float  # from the end of a block until the record names it
    left: tuple[str, ...]  # what was not as before


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20, metavar="N")
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=LOOPS)
    parser.add_argument("--rate", type=float, default=1000.0, metavar="PER_S")
    options = parser.parse_args()
    print(
        f"Python {sys.version.split()[0]}, {options.rate:g} requests per second, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{'loop':10}{'p99 before':>12}{'entered':>12}{'worst rise':>12}{'named after':>13}{'as before':>12}"
    )
    for loop in options.loops:
        trials = [trial(loop, options.rate) for _ in range(options.times)]
        clean = sum(not one.left for one in trials)
        print(
            f"{loop:10}"
            f"{statistics.median(one.before_ms for one in trials):>9.1f} ms"
            f"{statistics.median(one.entered_ms for one in trials):>9.1f} ms"
            f"{max(one.entered_ms - one.before_ms for one in trials):>9.1f} ms"
            f"{max(one.named_ms for one in trials):>10.0f} ms"
            f"{f'{clean} of {len(trials)}':>12}",
            flush=True,
        )
        for one in trials:
            if one.left:
                print(f"  left behind: {'; '.join(one.left)}")


def trial(loop: str, rate_per_s: float) -> Trial:
    service = _started("lines.py", loop)
    try:
        assert service.stdout is not None
        port = int(service.stdout.readline())
        state = _state(service.pid)
        load = _started("steady.py", str(port), str(rate_per_s))
        time.sleep(BEFORE_S)
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            _attach(service.pid, Path(folder)).communicate(timeout=PATIENCE_S)
            time.sleep(AFTER_S)
            ended = time.monotonic()
        requests: Requests = json.loads(load.communicate("", timeout=PATIENCE_S)[0])
        named_ms = _named_ms(service.pid, port)
        patience = time.monotonic() + PATIENCE_S
        while (now := _state(service.pid)) != state and time.monotonic() < patience:
            time.sleep(0.05)
    finally:
        service.kill()
        service.communicate()
    return Trial(
        _worst_p99_ms(requests, began - BEFORE_S + 1, began),
        _worst_p99_ms(requests, began, ended),
        named_ms,
        tuple(f"{name} {state[name]} -> {now[name]}" for name in state if state[name] != now[name]),
    )


def _started(name: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(WORKLOADS / name), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _attach(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "harness", "attach", str(pid), "--for", f"{RECORDED_S:g}s", "-q"]
    return subprocess.Popen(
        [*command, "--out", str(folder / "run")], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def _state(pid: int) -> dict[str, object]:
    """Threads, descriptors and caught signals, as the kernel sees them, without those of libc and libffi."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        "threads": int(status["Threads"]),
        "descriptors": sorted(name for name in _descriptors(pid) if "/libffi." not in name),
        "signals": f"{int(status['SigCgt'], 16) & ~LIBC_SIGNALS:x}",
    }


def _descriptors(pid: int) -> Iterator[str]:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            yield str(path.readlink()).partition(":")[0]


def _named_ms(pid: int, port: int) -> float:
    """Milliseconds from the end of a block until the record of an attach names its function."""
    with tempfile.TemporaryDirectory() as name:
        attached = _attach(pid, Path(name))
        _awaited(Path(name) / "run" / "loops", "*.page")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"block\n")
            connection.recv(100)  # the answer: the block has ended
        answered = time.monotonic()
        for event in _events(Path(name) / "run" / "events"):
            if isinstance(event, Blocked):
                break
        named = time.monotonic()
        attached.communicate(timeout=PATIENCE_S)
        report = json.loads((Path(name) / "run" / "report.json").read_text())
    if "hold" not in [block["function"] for block in report["blocks"]]:
        return float("inf")
    return (named - answered) * 1e3


def _events(folder: Path) -> Iterator[object]:
    """What the record gets, as it comes."""
    follower, patience = Follower(folder), time.monotonic() + PATIENCE_S
    while time.monotonic() < patience:
        for _, event in follower.new_events():
            yield event
        time.sleep(0.005)


def _awaited(folder: Path, pattern: str) -> None:
    patience = time.monotonic() + PATIENCE_S
    while not list(folder.glob(pattern)):
        if time.monotonic() > patience:
            raise TimeoutError(f"no {pattern} in {folder}")
        time.sleep(0.005)


def _worst_p99_ms(requests: Requests, begin: float, end: float) -> float:
    worst = 0.0
    while begin + WINDOW_S <= end:
        latencies = sorted(took for due, took in requests if begin <= due < begin + WINDOW_S)
        worst = max(worst, latencies[int(len(latencies) * 0.99)])
        begin += STEP_S
    return worst * 1e3


if __name__ == "__main__":
    main()
