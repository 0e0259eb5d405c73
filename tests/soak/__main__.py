"""``python -m tests.soak``: ends the chaos service at random moments under load; no message may be lost."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import shutil
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random

from harness.mayhem import brokers, stores
from harness.mayhem.backend import member
from harness.mayhem.errors import MayhemError, SettingsError
from harness.mayhem.operations.tracing import root_cause
from tests.support.broker_server import KINDS, Server, running

from . import growth, memory_round
from .plan import Plan, Terms, plan
from .round import RoundOutcome, play

SIGNALS = {"kill": (signal.SIGKILL,), "sigterm": (signal.SIGTERM,), "both": (signal.SIGKILL, signal.SIGTERM)}
# URLs without a host, for which a server is started.
OWN = tuple(f"{scheme}:" for scheme in KINDS)
SUMS = ("published", "acked", "dead_lettered", "redelivered", "duplicated", "lost", "acked_unsaved", "left")
# Rounds between two lines of progress.
REPORT_EVERY = 20
# Time until a killed server is started again.
DOWN_S = 0.3


def main(arguments: Sequence[str]) -> int:
    """Run the soak and return its exit status: 1 if a message was lost or anything else was wrong."""
    options = _parser().parse_args(arguments)
    # Like Ctrl-C, so that the processes it started are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _check(options)
        with _folder(options.keep) as folder:
            return _steady(options, folder) if options.steady else _soak(options, folder)
    except MayhemError as exc:
        sys.stderr.write(f"soak: {exc}\n")
        return exc.exit_code
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--broker", default="sqlite:", help="memory:, sqlite:, or nats: and redis: to start a server")
    add("--store", help="default: a SQLite file per round")
    add("--rounds", type=int, default=200)
    add("--first", type=int, default=0, help="number of the first round, to repeat one")
    add("--seed", type=int, default=0)
    add("--only", choices=sorted(SIGNALS), default="both", help="how the service is ended")
    add("--rate", type=float, default=400.0, help="messages per second; a round publishes for one second")
    add("--lease-s", type=float, default=2.0)
    add("--drain-s", type=float, default=10.0)
    add("--at-once", type=int, default=4, help="rounds played concurrently")
    add("--kill-server-s", type=float, help="also kill the started server, with this mean interval")
    add(
        "--steady",
        type=float,
        help="instead of rounds, run one service for that many seconds",
    )
    add("--keep", type=Path, help="folder for logs and files, in which failed rounds stay")
    add("--json", action="store_true", help="print the results of every round as JSON")
    return parser


def _check(options: argparse.Namespace) -> None:
    member(brokers, options.broker, "broker")
    if options.store is not None:
        member(stores, options.store)
    if options.broker.startswith("sqlite:") and options.broker != "sqlite:":
        raise SettingsError("--broker: each round has its own file; expected sqlite: without a path")
    if options.broker == "memory:" and options.only == "kill":
        raise SettingsError("--only kill: the broker memory: ends with its service")
    if options.kill_server_s and options.broker not in OWN:
        raise SettingsError(f"--kill-server-s: expected one of {', '.join(OWN)} as --broker")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="mayhem-soak-") as folder:
            yield Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep


def _steady(options: argparse.Namespace, folder: Path) -> int:
    own = f"sqlite:{folder / 'mayhem.db'}"
    with _server(options.broker, folder) as server:
        broker = server.url("steady") if server else own if options.broker == "sqlite:" else options.broker
        grown, samples = asyncio.run(
            growth.steady(
                dataclasses.replace(_terms(options), host_latency=growth.HOST_LATENCY),
                broker=broker,
                store_url=options.store or own,
                folder=folder,
                lasts_s=options.steady,
            )
        )
    return growth.show(grown, samples, as_json=options.json)


def _terms(options: argparse.Namespace) -> Terms:
    return Terms(seed=options.seed, rate_per_s=options.rate, lease_s=options.lease_s, drain_s=options.drain_s)


def _soak(options: argparse.Namespace, folder: Path) -> int:
    began = time.monotonic()
    with _server(options.broker, folder) as server:
        outcomes = asyncio.run(_Soak(options, folder, server).run())
    figures = {
        "broker": options.broker,
        "seed": options.seed,
        "took_s": round(time.monotonic() - began, 1),
        **_figures(outcomes),
    }
    if options.json:
        rounds = [dataclasses.asdict(outcome) for outcome in outcomes]
        sys.stdout.write(json.dumps({**figures, "each": rounds}) + "\n")
    else:
        sys.stdout.write("".join(f"{name:>20}  {value}\n" for name, value in figures.items()))
    return 1 if figures["failed"] else 0


@contextmanager
def _server(broker: str, folder: Path) -> Iterator[Server | None]:
    """Start a server if the URL names none."""
    if broker not in OWN:
        yield None
        return
    scheme = broker.removesuffix(":")
    with running(KINDS[scheme], folder / scheme) as server:
        yield server


class _Soak:
    """Plays all rounds, some concurrently."""

    def __init__(self, options: argparse.Namespace, folder: Path, server: Server | None) -> None:
        self._options = options
        self._folder = folder
        self._server = server
        self._run = uuid.uuid4().hex[:8]  # another server may remember the ids of an earlier soak
        self._terms = _terms(options)
        self._outcomes: list[RoundOutcome] = []

    async def run(self) -> Sequence[RoundOutcome]:
        options = self._options
        numbers = iter(range(options.first, options.first + options.rounds))
        async with self._server_killed(), asyncio.TaskGroup() as lanes:
            for _ in range(options.at_once):
                lanes.create_task(self._lane(numbers))
        return sorted(self._outcomes, key=lambda outcome: outcome.number)

    async def _lane(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            outcome = await self._round(number)
            self._outcomes.append(outcome)
            for violation in outcome.violations:
                again = f"--seed {self._options.seed} --first {number} --rounds 1"
                _report(f"round {number}: {violation}   (again: {again})")
            if len(self._outcomes) % REPORT_EVERY == 0:
                _report(f"{len(self._outcomes)} of {self._options.rounds} rounds")

    async def _round(self, number: int) -> RoundOutcome:
        options, terms = self._options, self._terms
        memory_alone = options.broker == "memory:"
        planned = plan(number, terms, signums=SIGNALS["sigterm" if memory_alone else options.only])
        folder = self._folder / f"round-{number}"
        folder.mkdir()
        try:
            if memory_alone:
                outcome = await memory_round.play(planned, terms, folder=folder)
            else:
                outcome = await play(
                    planned,
                    terms,
                    broker=self._broker(number, folder),
                    store_url=options.store or f"sqlite:{folder / 'mayhem.db'}",
                    folder=folder,
                    prefix=f"{self._run}-{number}",
                    forgetful=options.kill_server_s is not None,
                )
        except Exception as error:
            return _broken(planned, error)
        if not outcome.violations:
            shutil.rmtree(folder)
        return outcome

    def _broker(self, number: int, folder: Path) -> str:
        """The URL of the round's own queue."""
        queue = f"soak-{self._run}-{number}"
        if self._options.broker == "sqlite:":
            return f"sqlite:{folder / 'mayhem.db'}"
        return self._server.url(queue) if self._server else f"{self._options.broker}?queue={queue}"

    @asynccontextmanager
    async def _server_killed(self) -> AsyncIterator[None]:
        """Kill the server from time to time while the block runs, if requested."""
        killing = asyncio.create_task(self._kill_server())
        try:
            yield
        finally:
            killing.cancel()
            with suppress(asyncio.CancelledError):
                await killing

    async def _kill_server(self) -> None:
        every_s, server = self._options.kill_server_s, self._server
        if server is None or not every_s:
            return
        random = Random(self._options.seed)
        while True:
            await asyncio.sleep(random.expovariate(1 / every_s))
            # Blocks the loop, which has nothing to do while the server is down.
            server.kill()
            await asyncio.sleep(DOWN_S)
            server.start()


def _broken(planned: Plan, error: Exception) -> RoundOutcome:
    """The outcome of a round that could not be completed."""
    cause = root_cause(error)
    return RoundOutcome(
        number=planned.number,
        signal=planned.signum.name,
        after_s=round(planned.after_s, 3),
        publisher_killed=planned.publisher_after is not None,
        violations=(f"not completed: {type(cause).__name__}: {cause}",),
    )


def _figures(outcomes: Sequence[RoundOutcome]) -> dict[str, object]:
    drains_s = sorted(outcome.drain_s for outcome in outcomes if outcome.drain_s is not None)
    return {
        "rounds": len(outcomes),
        "failed": sum(bool(outcome.violations) for outcome in outcomes),
        "killed": sum(outcome.signal == "SIGKILL" for outcome in outcomes),
        "terminated": sum(outcome.signal == "SIGTERM" for outcome in outcomes),
        "publishers_killed": sum(outcome.publisher_killed for outcome in outcomes),
        **{name: sum(getattr(outcome, name) for outcome in outcomes) for name in SUMS},
        "drain_p50_s": drains_s[len(drains_s) // 2] if drains_s else None,
        "drain_max_s": drains_s[-1] if drains_s else None,
    }


def _report(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
