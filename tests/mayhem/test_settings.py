"""Settings come from options, variables and a file; an error is one line that names the source."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.mayhem.errors import SettingsError
from harness.mayhem.hosts.latency import Fixed
from harness.mayhem.messages.circuit import CircuitLimits
from harness.mayhem.settings import LIVE, Settings, load

# For each setting, a value that is not its default, as text and as the parsed value.
TOLD = {
    "broker": ("sqlite:x.db", "sqlite:x.db"),
    "store": ("memory:", "memory:"),
    "concurrency": ("4", 4),
    "max_bytes": ("1000", 1000),
    "lease_s": ("0.5", 0.5),
    "max_deliveries": ("6", 6),
    "circuit_failures": ("3", 3),
    "circuit_pause_s": ("0.25", 0.25),
    "circuit_max_pause_s": ("4", 4.0),
    "hosts": ("5", 5),
    "process_hosts": ("2", 2),
    "sdk_hosts": ("3", 3),
    "host_latency": ("fixed:1ms", "fixed:1ms"),
    "host_failure": ("chance:0.5", "chance:0.5"),
    "events": ("7", 7),
    "rate_per_s": ("2.5", 2.5),
    "drain_s": ("1.5", 1.5),
    "http": ("127.0.0.1:0", "127.0.0.1:0"),
    "log_format": ("json", "json"),
    "log_level": ("error", "error"),
    "seed": ("8", 8),
    "debug": ("true", True),
}
MEANT: dict[str, Any] = {name: value for name, (_, value) in TOLD.items()}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An environment without this machine's settings."""
    for name in ("HOME", "MAYHEM", "MAYHEMX"):
        monkeypatch.setenv(name, "x")
    return monkeypatch


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Any]:
    """Write a file, and return the option that names it."""

    def write(text: str) -> str:
        path = tmp_path / "mayhem.toml"
        path.write_text(text)
        return f"--config={path}"

    return write


def complaint(*arguments: str) -> str:
    with pytest.raises(SettingsError) as raised:
        load(arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_nothing_said_gives_the_defaults() -> None:
    """Without options, variables and a file, the defaults apply."""
    assert load([]) == Settings()


def test_every_setting_can_be_told_in_each_way(environment: Any, file: Callable[..., Any]) -> None:
    """Every setting can be given as option, variable or key, except that groups need the file."""
    assert {*TOLD, "config", "groups"} == {*Settings.model_fields}
    options = [f"--{n.replace('_', '-')}={text}" for n, (text, _) in TOLD.items() if n != "debug"]
    assert load([*options, "--debug"]) == Settings(**MEANT)
    lines = [f"{n} = {value!r}".replace("True", "true") for n, value in MEANT.items()]
    option = file("\n".join(lines))
    assert load([option]).model_dump(exclude={"config"}) == Settings(**MEANT).model_dump(exclude={"config"})
    for name, (text, _) in TOLD.items():
        environment.setenv(f"MAYHEM_{name.upper()}", text)

    assert load([]) == Settings(**MEANT)


def test_option_wins_over_variable_and_variable_over_file(environment: Any, file: Callable[..., Any]) -> None:
    """An option overrides a variable, which overrides the file."""
    environment.setenv("MAYHEM_CONFIG", file("hosts = 3\nseed = 3\nevents = 3").partition("=")[2])
    environment.setenv("MAYHEM_HOSTS", "2")
    environment.setenv("MAYHEM_SEED", "2")
    environment.setenv("MAYHEM_CONCURRENCY", "")
    settings = load(["--hosts=1"])

    assert (settings.hosts, settings.seed, settings.events) == (1, 2, 3)
    assert settings.concurrency == Settings().concurrency


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--hosts=0", "input should be greater than or equal to 1, got '0'"),
        ("--events=1.5", "input should be a valid integer, unable to parse string as an integer, got '1.5'"),
        ("--rate-per-s=inf", "input should be a finite number, got 'inf'"),
        ("--lease-s=soon", "input should be a valid number, unable to parse string as a number, got 'soon'"),
        ("--log-format=xml", "input should be 'text' or 'json', got 'xml'"),
        ("--http=eighty", "expected PORT or HOST:PORT, got 'eighty'"),
        ("--host-latency=20ms", "expected like fixed:20ms, "),
        ("--store=kafka:x", "expected a URL with one of memory:, "),
    ],
)
def test_bad_value_names_its_source(environment: Any, option: str, expected: str) -> None:
    """The message has the value's source, what was expected and what was given."""
    name, _, value = option.partition("=")
    variable = f"MAYHEM_{name[2:].replace('-', '_').upper()}"
    assert complaint(option).startswith(f"{name}: {expected}")
    environment.setenv(variable, value)

    assert complaint().startswith(f"{variable}: {expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("concurency = 3", "{file}: concurency: unknown key; did you mean concurrency?"),
        ("hosts = 'many'", "{file}: hosts: input should be a valid integer, "),
        ("[[groups]]\nname = 'web'", "{file}: groups.0.hosts: field required, "),
        (
            "[[groups]]\nname = 'web'\nhosts = ['a']\nexcluded = ['b']",
            "{file}: groups.0.excluded: unknown key; did you mean exclude?",
        ),
        ("hosts =", "{file}: not TOML: "),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_file(
    file: Callable[..., Any], text: str, expected: str
) -> None:
    """An unknown key is an error with a suggestion."""
    option = file(text)

    assert complaint(option).startswith(expected.format(file=option.partition("=")[2]))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be read is an error."""
    assert complaint(f"--config={tmp_path}/none.toml") == f"{tmp_path}/none.toml: No such file or directory"


def test_a_slip_in_a_name_is_found_everywhere(environment: Any) -> None:
    """Unknown options and likely typos in variables are errors; Kubernetes's variables are not."""
    assert (
        complaint("--concurency=3") == "unrecognized arguments: --concurency=3; did you mean --concurrency?"
    )
    for name in (
        "MAYHEM_SERVICE_HOST",
        "MAYHEM_PORT",
        "MAYHEM_PORT_80_TCP_PROTO",
        "MAYHEM_SERVICE_PORT_HTTP",
    ):
        environment.setenv(name, "tcp://10.0.0.1:80")
    assert load([]) == Settings()
    environment.setenv("MAYHEM_CONCURENCY", "3")

    assert complaint() == "MAYHEM_CONCURENCY: unknown variable; did you mean MAYHEM_CONCURRENCY?"


def test_a_password_is_not_shown() -> None:
    """An error about a URL does not quote its password."""
    assert "secret" not in complaint("--broker=kafka://me:secret@127.0.0.1")


def test_a_store_that_is_not_named_is_the_brokers_own() -> None:
    """The default store is the broker's file or memory, or a file for a broker on a server."""
    assert Settings(broker="memory:").store_url == "memory:"
    assert Settings(broker="sqlite:a.db").store_url == "sqlite:a.db"
    assert Settings(broker="memory:", store="sqlite:b.db").store_url == "sqlite:b.db"


def test_what_the_service_is_made_of() -> None:
    """Settings are converted to the types the service's parts take."""
    settings = Settings(hosts=3, sdk_hosts=1, host_latency="fixed:1ms", circuit_failures=2, log_level="error")

    assert settings.inventory.latency == Fixed(0.001)
    assert settings.circuit_limits == CircuitLimits(failures=2)
    assert (settings.level, Settings(debug=True).level) == (logging.ERROR, logging.DEBUG)
    assert Settings.model_fields.keys() >= LIVE


def test_hosts_that_do_not_add_up() -> None:
    """More processes and SDK hosts than hosts are an error."""
    assert complaint("--hosts=2", "--process-hosts=2") == (
        "settings: 2 processes and 1 SDK hosts are more than 2 hosts"
    )
