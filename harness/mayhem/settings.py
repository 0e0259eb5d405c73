"""The service's settings: from an option, an environment variable, a key of a TOML file, or the default.

The first of these that is set wins. `load` reads them all, or reports the first error in one line.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import SettingsError as SourceError

from . import backend, brokers, stores
from .errors import SettingsError
from .hosts.failure import parse_failure
from .hosts.inventory import Inventory
from .hosts.latency import parse_latency
from .messages.circuit import CircuitLimits
from .monkey.host_group import HostGroup, with_unique_names
from .operations.listen_address import parse_listen_address

PREFIX = "MAYHEM_"
_CIRCUIT = CircuitLimits()
# Settings that SIGHUP changes in a running service; the others need a restart.
LIVE = {
    *("circuit_failures", "circuit_max_pause_s", "circuit_pause_s", "concurrency", "drain_s", "groups"),
    *("log_level", "max_bytes"),
}


def _text_for(parse: Callable[[str], object]) -> AfterValidator:
    def parsable(text: str) -> str:
        try:
            parse(text)
        except ValueError as exc:
            raise ValueError(f"expected {exc}, got {text!r}") from None
        return text

    return AfterValidator(parsable)


def _url_of(family: Any, part: str = "") -> AfterValidator:
    def known(url: str) -> str:
        try:
            backend.member(family, url, part)
        except SettingsError as exc:
            raise ValueError(str(exc)) from None
        return url

    return AfterValidator(known)


AtLeastOne = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """The chaos service. The defaults suit a laptop."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        coerce_numbers_to_str=True,
        use_attribute_docstrings=True,
    )

    config: Path | None = None
    """TOML file with these settings"""
    broker: Annotated[str, _url_of(brokers, "broker")] = "sqlite:mayhem.db"
    """where messages come from: memory:, sqlite:PATH, nats://..., redis://..."""
    store: Annotated[str, _url_of(stores)] | None = None
    """store of restarts: memory:, sqlite:PATH, postgresql://...; default: the broker's file or memory"""
    concurrency: AtLeastOne = 50
    """maximum messages processed concurrently"""
    max_bytes: AtLeastOne = 64 * 2**20
    """maximum total bytes of messages processed concurrently"""
    lease_s: Positive = 10.0
    """seconds until an unsettled message is delivered again"""
    max_deliveries: AtLeastOne = 5
    """deliveries until a failing message is moved to the dead letters"""
    circuit_failures: AtLeastOne = _CIRCUIT.failures
    """consecutive failures that open a circuit"""
    circuit_pause_s: Positive = _CIRCUIT.pause_s
    """seconds until an open circuit admits a trial call"""
    circuit_max_pause_s: Positive = _CIRCUIT.max_pause_s
    """upper bound on the circuit's pause, which doubles after each failed trial"""
    hosts: AtLeastOne = 10
    """number of hosts"""
    process_hosts: Count = 0
    """number of hosts that are child processes"""
    sdk_hosts: Count = 1
    """number of hosts that are driven by a blocking SDK"""
    host_latency: Annotated[str, _text_for(parse_latency)] = "lognormal:20ms,0.5"
    """duration of a restart: fixed:20ms, uniform:10ms,50ms, exponential:20ms or lognormal:20ms,0.5"""
    host_failure: Annotated[str, _text_for(parse_failure)] = "never"
    """how hosts fail: never, or any of chance:0.02 flapping:60s,5s slow:30s,4"""
    groups: Annotated[tuple[HostGroup, ...], AfterValidator(with_unique_names)] = ()
    """hosts that the chaos monkey may terminate"""
    events: Count = 0
    """number of events to publish; the service ends once all are settled"""
    rate_per_s: Positive = 10.0
    """events published per second"""
    drain_s: Positive = 10.0
    """seconds to finish messages in flight at shutdown"""
    http: Annotated[str, _text_for(parse_listen_address)] | None = None
    """PORT or HOST:PORT of /metrics, /healthz, /readyz and /livez; loopback without HOST, off by default"""
    log_format: Literal["text", "json"] = "text"
    """log format"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """minimum log level"""
    seed: Count = 0
    """seed for all randomness"""
    debug: bool = False
    """asyncio's debug mode and debug logging"""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the given values; `load` reads the sources, so that errors can name a value's origin."""
        return (init_settings,)

    @property
    def store_url(self) -> str:
        """The store's URL; by default the broker's file or memory."""
        if self.store is not None:
            return self.store
        return self.broker if self.broker.startswith(("memory:", "sqlite:")) else "sqlite:mayhem.db"

    @property
    def inventory(self) -> Inventory:
        """The hosts to manage."""
        return Inventory(
            hosts=self.hosts,
            processes=self.process_hosts,
            sdk=self.sdk_hosts,
            latency=parse_latency(self.host_latency),
            failure=parse_failure(self.host_failure),
            seed=self.seed,
        )

    @property
    def circuit_limits(self) -> CircuitLimits:
        """When circuits open, and for how long."""
        return CircuitLimits(self.circuit_failures, self.circuit_pause_s, self.circuit_max_pause_s)

    @property
    def level(self) -> int:
        """The log level as `logging` numbers it."""
        return logging.DEBUG if self.debug else logging.getLevelNamesMapping()[self.log_level.upper()]

    @model_validator(mode="after")
    def _hosts_add_up(self) -> Settings:
        try:
            _ = self.inventory
        except SettingsError as exc:
            raise ValueError(str(exc)) from None
        return self


def load(arguments: Sequence[str]) -> Settings:
    """Load the settings from a command line, this process's environment, and the file that one of them names.

    Raises:
        SettingsError: The message says where, what was expected, and what came.
        SystemExit: Help was requested, and has been printed.
    """
    options, variables = _options(arguments), _variables()
    path = options.get("config") or variables.get("config")
    sources: tuple[tuple[Callable[[str], str], Mapping[str, Any]], ...] = (
        (_option, options),
        (_variable, variables),
        (lambda name: f"{path}: {name}", _file(Path(path)) if path else {}),
    )
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for named, source in sources:
        for name in source.keys() - values.keys():
            values[name], origins[name] = source[name], named(name)
    try:
        return Settings(**values)
    except ValidationError as exc:
        raise SettingsError(_first_error(exc, origins)) from None


def _options(arguments: Sequence[str]) -> Mapping[str, Any]:
    try:
        source: CliSettingsSource[Any] = CliSettingsSource(
            Settings,
            cli_parse_args=list(arguments),
            cli_prog_name="mayhem [serve | ledger | remove | check]",
            cli_kebab_case=True,
            cli_implicit_flags=True,
            cli_avoid_json=True,
            cli_hide_none_type=True,
            cli_exit_on_error=False,
        )
        return source()
    except SourceError as exc:
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", str(exc))
        hint = _nearest(unknown[1], map(_option, Settings.model_fields)) if unknown else ""
        raise SettingsError(f"{str(exc).removeprefix('error parsing CLI: ')}{hint}") from None


def _variables() -> Mapping[str, Any]:
    known = [*map(_variable, Settings.model_fields)]
    for name in os.environ:
        # Only likely typos, because Kubernetes sets a dozen variables for a service called "mayhem".
        if name.startswith(PREFIX) and name not in known and (hint := _nearest(name, known, cutoff=0.88)):
            raise SettingsError(f"{name}: unknown variable{hint}")
    try:
        return EnvSettingsSource(Settings)()
    except SourceError as exc:
        field = re.search(r'"(\w+)"', str(exc))
        raise SettingsError(f"{_variable(field[1]) if field else 'environment'}: expected JSON") from None


def _file(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from None
    except ValueError as exc:
        raise SettingsError(f"{path}: not TOML: {exc}") from None


def _first_error(exc: ValidationError, origins: Mapping[str, str]) -> str:
    error = exc.errors(include_url=False)[0]
    name, *rest = error["loc"] or ("settings",)
    where = ".".join([origins.get(str(name), str(name)), *map(str, rest)])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        words = Settings.model_fields if not rest else HostGroup.model_fields
        return f"{where}: unknown key{_nearest(str(error['loc'][-1]), words)}"
    # Our own messages quote the value, without passwords.
    if error["type"] == "value_error":
        return f"{where}: {message}"
    return f"{where}: {message[:1].lower()}{message[1:]}, got {error['input']!r}"


def _nearest(word: str, words: Any, *, cutoff: float = 0.6) -> str:
    near = difflib.get_close_matches(word, list(words), n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"
