"""A side that is a suite of benchmarks of pytest: a new process each time, with what it measured of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import OutputError, TargetError
from ...record.comparison import benchmarks
from ...record.comparison.benchmarks import BenchmarkResults
from ...record.comparison.pairs import Measured
from .program import Launcher, ProgramSide
from .scenario_run import SidePlace

# Run by its path: the revision's own environment need not have the harness.
PROGRAM = Path(__file__).parents[2] / "testing" / "benchmark_run.py"
# Many short runs tell more than a few long ones: what differs between runs is more than what differs in one.
# Options of the command line come after these, and marks of tests count more than either.
PACE = ("--benchmark-max-time=0.1", "--benchmark-min-rounds=3")
# Whatever one module has, the others are measured.
ALWAYS = ("-q", "--no-header", "--continue-on-collection-errors")


@dataclass(slots=True)
class BenchmarkSide:
    """One of two suites that are compared."""

    name: str  # "base" or "head"
    args: tuple[str, ...]  # of pytest
    program: ProgramSide
    folder: Path  # for the orders and outcomes; exists
    other_tree: str  # the files of the other side, of which this one must run none; "" if that is no matter
    chosen: Sequence[str] | None = None  # the benchmarks to run; None: all
    latest: BenchmarkResults = field(default_factory=lambda: BenchmarkResults({}))
    unmeasured: dict[str, str] = field(default_factory=dict)  # what has failed or the like, in any run

    @classmethod
    def at(
        cls,
        name: str,
        args: Sequence[str],
        launcher: Launcher,
        place: SidePlace,
        *,
        here: Path,
        env: Mapping[str, str],
        within_s: float,
    ) -> BenchmarkSide:
        """The side in its *place*: pytest with *args*, in what is the folder *here* there."""
        cwd = place.folder(here)
        moved = tuple(_moved(one, place, here) for one in args)
        present = [one for one in moved if not _is_absent(one, cwd)]
        # Without its only file pytest would take everything.
        nothing = ("--ignore-glob=*",) if len(present) < len(moved) and not _paths(present, cwd) else ()
        folder = launcher.folder
        order = folder / f"{name}-order.json"
        own = place.variables(env)
        code = [str(path) for path in (cwd / "src", cwd) if path.is_dir()]
        own["PYTHONPATH"] = ":".join([*code, *filter(None, [own.get("PYTHONPATH")])])
        own = {name: value for name, value in own.items() if not name.startswith("PYTEST_XDIST")}
        command = (place.venv.python, "-P", str(PROGRAM), str(order))
        return cls(
            name,
            (*ALWAYS, f"--override-ini=cache_dir={folder / 'cache'}", *PACE, *present, *nothing),
            ProgramSide(name, command, launcher, cwd, own, within_s),
            folder,
            str(place.checkout.top) if place.checkout and place.checkout.path != place.checkout.top else "",
        )

    def run(self) -> Measured:
        """Run the chosen benchmarks once; those that were not measured are in `unmeasured`.

        Raises:
            TargetError: pytest could not run them, or they are not those of this side.
        """
        outcomes = self.folder / f"{self.name}-outcomes.json"
        order = {
            "args": self.args,
            "chosen": self.chosen,
            "outcomes": str(outcomes),
            "other_tree": self.other_tree,
        }
        try:
            (self.folder / f"{self.name}-order.json").write_text(json.dumps(order))
        except OSError as exc:
            raise OutputError(f"{self.folder}: cannot be written: {exc.strerror}") from exc
        self.program.run()
        self.latest = benchmarks.of_outcomes(outcomes)
        if self.latest.foreign:
            module, file = next(iter(self.latest.foreign.items()))
            error = TargetError(f"{self.name}: imports {module} from {file}, which is not of this revision")
            error.add_note("--install '.' gives each revision an environment of its own.")
            raise error
        self.unmeasured |= self.latest.unmeasured
        return self.latest.measured


def _moved(arg: str, place: SidePlace, here: Path) -> str:
    """An argument, with an absolute path in it where that is on this side."""
    option, equals, value = arg.partition("=") if arg.startswith("-") else ("", "", arg)
    path = Path(value)
    return f"{option}{equals}{place.folder(path)}" if value and path.is_absolute() else arg


def _is_absent(arg: str, cwd: Path) -> bool:
    """Whether an argument names a file of tests that this revision has not."""
    path = cwd / arg.partition("::")[0]
    return not arg.startswith("-") and (path.suffix == ".py" or "/" in arg) and not path.exists()


def _paths(args: Sequence[str], cwd: Path) -> list[str]:
    return [one for one in args if not one.startswith("-") and (cwd / one.partition("::")[0]).exists()]
