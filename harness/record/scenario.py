"""The scenario: the parameters of a run, read from a TOML file and validated.

The only module of the record that needs pydantic; nothing inside a target imports it. `schema` is its JSON
Schema, and `toml/validation.py` turns pydantic's errors into messages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    PrivateAttr,
    Tag,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from ..errors import ScenarioError
from . import metric, redact
from .fault import catalogue
from .fault.fault import Fault
from .options.load import Load
from .options.network import AnyToxic, PlannedToxic, ProxyOptions
from .options.planned import Planned, with_parameters
from .options.table import (
    BesideTheFile,
    Count,
    Name,
    NotNegative,
    Place,
    Positive,
    Probability,
    ScenarioTable,
    wrong,
)
from .probe_config import HANG_MS
from .run import Expectation
from .toml import document, environment, override, validation
from .toml.lines import Key, dotted, lines_by_key

# --- types of values ------------------------------------------------------------------------------

_LIMIT = r"^\s*(<=|>=|==|!=|<|>)\s*([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*$"


def _limit(text: object) -> tuple[str, float]:
    found = re.match(_LIMIT, text) if isinstance(text, str) else None
    if found is None:
        raise ValueError
    return found[1], float(found[2])


def _figure(key: str) -> str:
    if metric.find(key) is None:
        hint = validation.nearest(key, [known.key for known in metric.FIGURES])
        raise wrong(f"unknown figure{hint}", note=metric.neighbours(key))
    return key


BackendUrl = Annotated[str, Field(pattern=r"^[a-z]+:", examples=["nats://127.0.0.1:4222"])]
FigureKey = Annotated[str, AfterValidator(_figure)]
Limit = Annotated[
    tuple[str, float],
    Field(strict=False),
    BeforeValidator(_limit),
    PlainSerializer(lambda limit: f"{limit[0]} {limit[1]:g}"),
    WithJsonSchema({"type": "string", "pattern": _LIMIT, "examples": ["< 500", "== 0"]}),
]


# --- what is measured ---------------------------------------------------------------------------------


class MayhemTarget(ScenarioTable):
    """The built-in chaos service."""

    kind: Literal["mayhem"]
    broker: BackendUrl | None = None
    """URL of its broker: ``nats://127.0.0.1:4222``, ``redis://127.0.0.1:6379/0``; default: a SQLite file."""
    store: BackendUrl | None = None
    """URL of its store: ``postgresql://…``; default: a SQLite file."""
    config: BesideTheFile | None = None
    """A TOML file with its settings, relative to the scenario file."""
    settings: dict[str, bool | int | float | str] = Field(default={})
    """Its options, without the dashes: ``{hosts = 12, lease_s = 2.0}``."""


class ReadyLog(ScenarioTable):
    """Ready when a line of its output matches."""

    log: re.Pattern[str]
    """A regular expression, searched in each line of its stdout and stderr."""


class ReadyPort(ScenarioTable):
    """Ready when it accepts connections."""

    port: Annotated[int, Field(ge=1, le=65535)]
    """A TCP port on loopback."""


class ReadyAfter(ScenarioTable):
    """Ready after a fixed time, for programs that do not announce it."""

    after_s: Positive
    """Seconds since its start."""


def _ready_tag(value: object) -> str | None:
    keys = {"log", "port", "after_s"}
    given = keys.intersection(dict(value)) if isinstance(value, Mapping | BaseModel) else set()
    return given.pop() if len(given) == 1 else None


Ready = Annotated[
    Annotated[ReadyLog, Tag("log")]
    | Annotated[ReadyPort, Tag("port")]
    | Annotated[ReadyAfter, Tag("after_s")],
    Discriminator(
        _ready_tag,
        custom_error_type=validation.WORDED,
        custom_error_message="expected a table with one of: log, port, after_s",
    ),
]


class ProgramTarget(ScenarioTable):
    """Any program that runs an asyncio loop."""

    kind: Literal["program"]
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    """The program and its arguments. The program is looked up on the PATH, as in a shell."""
    cwd: Annotated[BesideTheFile, Field(validate_default=True)] = Path()
    """Its working directory, relative to the scenario file."""
    env: dict[str, str] = Field(default={})
    """Environment variables, in addition to the runner's own."""
    ready: Ready | None = None
    """How to tell that it is ready for load."""
    stop_signal: Literal["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"] = "SIGTERM"
    """The signal that asks it to end."""
    stop_within_s: Positive = 10.0
    """It is killed if it has not ended within this time."""


Target = Annotated[MayhemTarget | ProgramTarget, Field(discriminator="kind")]


# --- the faults ---------------------------------------------------------------------------------------


class PlannedFault(Planned):
    """The keys of all faults in functions; the model of each kind adds its parameters."""

    place: Place = Field(alias="in")
    """The function that misbehaves: ``module:qualified.name``."""
    probability: Probability = 1.0
    """Probability that a call is affected."""
    limit: Count | None = None
    """Maximum number of affected calls; by default unlimited."""

    @property
    def fault(self) -> Fault:
        """The fault to inject, without its schedule."""
        return Fault.from_request(self.model_dump(by_alias=True))


if TYPE_CHECKING:
    AnyFault = PlannedFault | PlannedToxic
else:
    AnyFault = Annotated[
        reduce(or_, (with_parameters(PlannedFault, name, catalogue.find(name)) for name in catalogue.names()))
        | AnyToxic,
        Field(discriminator="kind"),
    ]


# --- the whole ----------------------------------------------------------------------------------------


class Probe(ScenarioTable):
    """How the loop is watched."""

    block_ms: Positive = 100.0
    """A loop turn longer than this is a block."""
    hang_ms: NotNegative = HANG_MS
    """A loop turn that lasts this long is told while it lasts; 0 for never."""
    hang_exit_s: NotNegative = 0.0
    """A process whose loop does not come back for this long is ended; 0 for never."""
    calls: bool = False
    """Count the synchronous calls on the loop's thread, which all make the loop wait."""
    origins: bool = False
    """Record where coroutines are created, to show it for tasks that block or leak; slightly slower."""
    sample_hz: Annotated[int, Field(ge=0, le=1000)] = 0
    """Samples of the loop per second of its turns, each with its task and span; 0 for none."""
    waits: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of traces in which to log what tasks wait for, to break down the time of spans."""
    waits_for_s: NotNegative = 0.0
    """How long to log it, from the start of the target's loop; 0 for the whole run."""
    application: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Folders, files or packages of the target's own code, where blocks are blamed; detected by default."""


class ProfileOptions(ScenarioTable):
    """Additional profilers."""

    pyinstrument: Annotated[str, Field(min_length=1)] | None = None
    """Profile spans of this name from inside."""
    pyinstrument_every: Count = 1
    """Profile every Nth matching span, up to ten."""
    pyinstrument_slower_ms: NotNegative = 0.0
    """Keep only profiles of spans that took at least this, up to ten."""
    cprofile: bool = False
    """Count and time every call on the threads of loops."""
    py_spy_s: Positive | None = None
    """Record the target from outside for this long."""
    py_spy: bool = False
    """Record the target from outside, from when it is ready until it ends."""
    tachyon: bool = False
    """Record the target from outside by the sampler of its own Python (3.15), from when it is ready."""
    strace: bool = False
    """Summarize the target's system calls, from when it is ready until it ends."""


class Scenario(ScenarioTable):
    """A run of the harness: what to start, how to load and break it, and what to expect."""

    name: Name
    """Name of the run; by default the file's name without its suffix."""
    description: str = ""
    """A sentence for the report."""
    seed: int = 0
    """Same seed, same schedule of load and faults."""
    target: Target
    """The program to measure."""
    load: Load | None = None
    """The load; without it, the target is only watched."""
    proxies: Annotated[tuple[ProxyOptions, ...], Field(strict=False)] = ()
    """Between the target and services that it talks to, for faults of the network."""
    faults: Annotated[tuple[AnyFault, ...], Field(strict=False)] = ()
    """What goes wrong on purpose, and when."""
    probe: Probe = Probe()
    """How the loop is watched."""
    profile: ProfileOptions = ProfileOptions()
    """Additional profilers."""
    expect: dict[FigureKey, Limit] = Field(default={})
    """Limits on the report's figures: ``"load.latency_ms.p99" = "< 500"``."""

    # Strings with `${NAME}`, as they are in the file.
    _written: dict[Key, str] = PrivateAttr(default_factory=dict)
    _variables: list[str] = PrivateAttr(default_factory=list)
    _lines: dict[str, int] = PrivateAttr(default_factory=dict)  # of the keys in the file

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that it refers to as ``${NAME}``."""
        return tuple(self._variables)

    def public(self) -> dict[str, Any]:
        """The settings as they may be written to a file: ``${NAME}`` as in the scenario, and no secrets."""
        settings = self.model_dump(mode="json", by_alias=True)
        environment.restore(settings, self._written)
        return redact.redacted_settings(settings)

    @property
    def function_faults(self) -> tuple[PlannedFault, ...]:
        """Those that act in a function of the target."""
        return tuple(fault for fault in self.faults if isinstance(fault, PlannedFault))

    @property
    def network_faults(self) -> tuple[PlannedToxic, ...]:
        """Those that act on connections."""
        return tuple(fault for fault in self.faults if isinstance(fault, PlannedToxic))

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """The limits under `expect`, in the order of the file."""
        return tuple(
            Expectation(key, *limit, line=self._lines.get(f"expect.{key}"))
            for key, limit in self.expect.items()
        )

    @model_validator(mode="after")
    def _load_fits_target(self) -> Self:
        if self.load is None:
            return self
        if self.load.find and not self.expect:
            raise wrong("a capacity is the most that meets expectations, and there are none", at=("expect",))
        if isinstance(self.target, MayhemTarget):
            fitting = (self.target.broker or "sqlite:").partition(":")[0]
            what = f'the broker "{fitting}:" of the chaos service'
        else:
            fitting, what = "http", 'a target of kind "program"'
            if self.load.sender == "python":
                fitting = "python"
        if fitting == "memory":
            raise wrong("a broker in memory cannot be loaded from outside", at=("target", "broker"))
        if self.load.sender != fitting:
            message = f'"{self.load.sender}" cannot load {what}'
            raise wrong(message, at=("load", "sender"), note=f'Use the sender "{fitting}".')
        if isinstance(self.target, ProgramTarget) and self.target.ready is None:
            message = "missing; load must not come before the program is ready"
            note = "One of: {log = ...}, {port = ...}, {after_s = ...}"
            raise wrong(message, at=("target", "ready"), note=note)
        return self

    @model_validator(mode="after")
    def _figures_will_be_there(self) -> Self:
        for key in self.expect:
            why = metric.why_absent(
                key,
                load=self.load is not None,
                ledger=isinstance(self.target, MayhemTarget),
                calls=self.probe.calls,
                sampler=self.probe.sample_hz > 0,
            )
            if not why and key.startswith("load.tag.") and self.load is not None:
                why = _no_such_tag(key, self.load.tags)
            if why:
                raise wrong(f"this run cannot have that figure: {why}", at=("expect", key))
        return self

    @model_validator(mode="after")
    def _faults_are_unique_and_can_fire(self) -> Self:
        ids = [fault.id for fault in self.faults]
        for index, fault in enumerate(self.faults):
            if fault.id in ids[:index]:
                raise wrong(f'"{fault.id}" is taken by another fault', at=("faults", index, "id"))
            if self.load is not None and fault.at_s >= self.load.lasts_s:
                message = f"expected a time before the load ends ({self.load.lasts_s:g}), got {fault.at_s:g}"
                raise wrong(message, at=("faults", index, "at_s"))
        return self

    @model_validator(mode="after")
    def _proxies_are_known(self) -> Self:
        names = [proxy.name for proxy in self.proxies]
        for index, proxy in enumerate(self.proxies):
            if proxy.name in names[:index]:
                raise wrong(f'"{proxy.name}" is taken by another proxy', at=("proxies", index, "name"))
        for index, fault in enumerate(self.faults):
            if isinstance(fault, PlannedToxic) and fault.proxy not in names:
                hint = validation.nearest(fault.proxy, names)
                note = f"Proxies: {', '.join(names)}." if names else "The scenario has no [[proxies]]."
                raise wrong(f'no proxy "{fault.proxy}"{hint}', at=("faults", index, "proxy"), note=note)
        return self


def _no_such_tag(key: str, tags: Collection[str]) -> str:
    rest = key.removeprefix("load.tag.")
    if any(rest.startswith(f"{tag}.") for tag in tags):
        return ""
    there = f" (there are {', '.join(sorted(tags))})" if tags else ""
    return f"no request has this tag{there}"


def load(path: Path, *, overrides: Sequence[str] = ()) -> Scenario:
    """Load the scenario in the file and apply the changes of ``--set KEY=VALUE``, in order.

    ``${NAME}`` is replaced by the environment variable; from then on, this process writes neither its value
    nor other secrets of the scenario.

    Raises:
        ScenarioError: The file cannot be read or is wrong. The message names file, line and key of the first
            mistake; the notes are advice and further mistakes.
    """
    text = document.read_text(path, ScenarioError)
    settings = _flat(document.parse(path, text, ScenarioError))
    settings.setdefault("name", path.stem)
    origins = dict(_override(settings, overrides))
    resolved = environment.resolve(settings, os.environ)
    redact.learn(dict.fromkeys(redact.secrets_in(settings), redact.HIDDEN))
    redact.learn_variables(resolved.values)
    found = resolved.unset
    if not found:
        try:
            scenario = Scenario.model_validate(resolved.settings, context={"folder": path.parent})
            scenario._written.update(resolved.written)
            scenario._variables.extend(resolved.values)
            scenario._lines.update(lines_by_key(text))
            return scenario
        except ValidationError as exc:
            found = validation.violations(exc.errors(), resolved.settings, schema())
    raise document.refusal(path, text, found, ScenarioError, origins=origins)


def schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file."""
    # Not `name`, which defaults to the file's.
    return Scenario.model_json_schema() | {"required": ["target"]}


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with dotted keys under `expect`, even where ``ledger.lost`` was written without quotes."""
    if isinstance(settings.get("expect"), dict):
        settings["expect"] = {dotted(key): value for key, value in _leaves(settings["expect"])}
    return settings


def _leaves(table: Mapping[str, object]) -> Iterator[tuple[Key, object]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from (((name, *rest), leaf) for rest, leaf in _leaves(value))
        else:
            yield (name,), value


def _override(settings: dict[str, Any], overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Apply the overrides, and yield each key that they set with the text of the override."""
    for text in overrides:
        try:
            for key in override.merge(settings, _flat(override.parse(text))):
                yield dotted(key), text
        except LookupError as exc:
            raise ScenarioError(f"--set {text}: {exc}") from None
