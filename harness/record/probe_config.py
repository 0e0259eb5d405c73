"""The probe's configuration, as the text of one environment variable that child processes inherit."""

from __future__ import annotations

import os

from .value import Value, as_dict, defaults_of

VARIABLE = "HARNESS_PROBE"
# From this length on a turn is a hang, and told while it lasts.
HANG_MS = 1000.0
# What a console can be permitted, apart from reading.
PERMISSIONS = ("cancel", "signal", "slow", "repl", "chaos")


class ConsoleConfig(Value):
    """A console, which always listens on a UNIX socket."""

    port: int | None = None  # also listen for telnet on this port of loopback; 0: any free port
    allow: tuple[str, ...] = ()  # its permissions apart from reading, of `PERMISSIONS`
    admit: int | None = None  # the user, besides the process's own, who may connect: the one who attached


class ProbeConfig(Value):
    """Where the probe writes, and which features it opens."""

    folder: str  # the path of the run's
    limit_ns: int  # a turn of at least this length is a block
    control: str = ""  # the folder for the control sockets, "" for none
    console: ConsoleConfig | None = None
    profile_span: str = ""  # profile spans of this name with pyinstrument ...
    calls: bool = False  # count the synchronous calls on the threads of loops
    origins: bool = False  # record where coroutines are created
    profile_every: int = 1  # profile every Nth of these spans, ...
    profile_slower_ms: float = 0.0  # ... keep those that took at least this long; with neither, the first one
    cprofile: bool = False  # count and time the calls of loops' threads with cProfile
    sample_hz: int = 0  # samples per second of a loop while it is in a turn
    waits: float = 0.0  # the share of traces whose steps are logged ...
    waits_for_s: float = 0.0  # ... for this time after the first loop begins, 0: until the end
    application: tuple[str, ...] = ()  # folders, files or packages of the program's own code; (): detected
    secrets: tuple[str, ...] = ()  # environment variables whose values must not be written
    hang_ms: float = HANG_MS  # a turn of this length is told while it lasts; 0: never
    hang_exit_s: float = 0.0  # end the process if its loop does not come back for this long; 0: never
    systemd_watchdog: bool = False  # feed systemd's watchdog from the loop
    unrecorded: bool = False  # write no events: the folder holds only the loops' counters

    @property
    def features(self) -> dict[str, str]:
        """The module of each enabled feature, by the feature's name, in the order of opening.

        The names are relative to the harness's package. The probe imports no other feature, so a process does
        not pay for what it does not use.
        """
        asked = (
            ("origins", "probe.tasks.coroutine_origins", self.origins),
            ("calls", "probe.calls.counts", self.calls),
            ("sampler", "probe.sampling.sampler", self.sample_hz),
            ("waits", "probe.tracing.step_log", self.waits),
            ("cprofile", "probe.sampling.cprofile", self.cprofile),
            ("profile", "probe.sampling.span_profile", self.profile_span),
            ("control", "probe.control.feature", self.control or self.console),
            ("console", "console.feature", self.console),
            ("end of a hang", "probe.hang.end_request", self.hang_exit_s),
            ("systemd's watchdog", "probe.hang.systemd", self.systemd_watchdog),
        )
        return {name: module for name, module, is_asked in asked if is_asked}

    def text(self) -> str:
        """The text of the variable: ``key=value`` lines, the folder first.

        It is not JSON, so that a process without a loop need not import `json`.
        """
        unless = defaults_of(ProbeConfig)
        given = {
            name: value
            for name, value in as_dict(self).items()
            if name not in unless or value != unless[name]
        }
        given |= {name: "yes" for name, value in given.items() if value is True}
        if self.console is not None:
            given["console"] = ",".join(self.console.allow)
            given |= {"console_port": self.console.port} if self.console.port is not None else {}
            given |= {"console_admit": self.console.admit} if self.console.admit is not None else {}
        if self.application:
            given["application"] = os.pathsep.join(self.application)
        if self.secrets:
            given["secrets"] = ",".join(self.secrets)
        return "\n".join(f"{name}={value}" for name, value in given.items())

    @classmethod
    def parse(cls, text: str) -> ProbeConfig:
        """The configuration in *text*.

        Raises:
            ValueError: A field is missing or malformed.
        """
        values = dict(line.partition("=")[::2] for line in text.splitlines())
        if not {"folder", "limit_ns"} <= values.keys():
            raise ValueError(f"{VARIABLE}: expected at least folder= and limit_ns=, got {text!r}")
        return cls(
            folder=values["folder"],
            limit_ns=int(values["limit_ns"]),
            control=values.get("control", ""),
            console=_console(values),
            profile_span=values.get("profile_span", ""),
            profile_every=int(values.get("profile_every", 1)),
            profile_slower_ms=float(values.get("profile_slower_ms", 0)),
            cprofile="cprofile" in values,
            calls="calls" in values,
            origins="origins" in values,
            sample_hz=int(values.get("sample_hz", 0)),
            waits=float(values.get("waits", 0)),
            waits_for_s=float(values.get("waits_for_s", 0)),
            application=tuple(filter(None, values.get("application", "").split(os.pathsep))),
            secrets=tuple(filter(None, values.get("secrets", "").split(","))),
            hang_ms=float(values.get("hang_ms", HANG_MS)),
            hang_exit_s=float(values.get("hang_exit_s", 0)),
            systemd_watchdog="systemd_watchdog" in values,
            unrecorded="unrecorded" in values,
        )


def _console(values: dict[str, str]) -> ConsoleConfig | None:
    if "console" not in values:
        return None
    port = int(values["console_port"]) if "console_port" in values else None
    admit = int(values["console_admit"]) if "console_admit" in values else None
    return ConsoleConfig(port, tuple(filter(None, values["console"].split(","))), admit)
