"""The configuration of the probe, as the text of an environment variable, which child processes inherit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "HARNESS_PROBE"
# What a console can be permitted besides reading.
PERMISSIONS = ("cancel", "signal", "repl", "chaos")


@dataclass(frozen=True, slots=True)
class ConsoleConfig:
    """A console, which always listens on a UNIX socket."""

    port: int | None = None  # loopback port for telnet as well; 0: any free port
    allow: tuple[str, ...] = ()  # of `PERMISSIONS`


@dataclass(frozen=True, slots=True)
class ProbeConfig:
    """Where the probe writes, and what it does."""

    folder: Path  # the run's folder
    limit_ns: int  # a turn longer than this is a block
    control: str = ""  # folder for the control sockets, "" for none
    console: ConsoleConfig | None = None
    profile_span: str = ""  # profile spans of this name with pyinstrument ...
    calls: bool = False  # count the synchronous calls on the threads of loops
    origins: bool = False  # record where coroutines are created
    profile_every: int = 1  # ... every Nth of them ...
    profile_slower_ms: float = 0.0  # ... keeping those of spans that took at least this; 0: only the first
    cprofile: bool = False  # count and time the calls of loops' threads with cProfile
    sample_hz: int = 0  # samples of the loop per second of its turns
    waits: float = 0.0  # share of the traces whose spans' time is broken down ...
    waits_for_s: float = 0.0  # ... for this long after the start of a loop, 0: until the end
    application: tuple[str, ...] = ()  # folders, files or packages of the program's own code; (): detected

    @property
    def features(self) -> dict[str, str]:
        """The modules that this asks for, by the name of what they add, in the order of their opening.

        They are below the package of the harness. The probe imports no other, so a process that is not asked
        for a feature does not pay for it.
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
        )
        return {name: module for name, module, is_asked in asked if is_asked}

    def text(self) -> str:
        """The text of the variable: ``key=value`` lines, the folder first.

        Not JSON, because a process without a loop would have to import `json` only for this.
        """
        lines = [f"folder={self.folder}", f"limit_ns={self.limit_ns}"]
        lines += [f"control={self.control}"] if self.control else []
        if self.console is not None:
            lines += [f"console={','.join(self.console.allow)}"]
            lines += [f"console_port={self.console.port}"] if self.console.port is not None else []
        lines += [f"profile_span={self.profile_span}"] if self.profile_span else []
        lines += [f"profile_every={self.profile_every}"] if self.profile_every != 1 else []
        lines += [f"profile_slower_ms={self.profile_slower_ms}"] if self.profile_slower_ms else []
        lines += ["cprofile=yes"] if self.cprofile else []
        lines += ["calls=yes"] if self.calls else []
        lines += ["origins=yes"] if self.origins else []
        lines += [f"sample_hz={self.sample_hz}"] if self.sample_hz else []
        lines += [f"waits={self.waits}"] if self.waits else []
        lines += [f"waits_for_s={self.waits_for_s}"] if self.waits_for_s else []
        lines += [f"application={os.pathsep.join(self.application)}"] if self.application else []
        return "\n".join(lines)

    @classmethod
    def parse(cls, text: str) -> ProbeConfig:
        """The configuration in *text*.

        Raises:
            ValueError: The text is not a configuration.
        """
        values = dict(line.partition("=")[::2] for line in text.splitlines())
        if not {"folder", "limit_ns"} <= values.keys():
            raise ValueError(f"{VARIABLE}: expected at least folder= and limit_ns=, got {text!r}")
        return cls(
            folder=Path(values["folder"]),
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
        )


def _console(values: dict[str, str]) -> ConsoleConfig | None:
    if "console" not in values:
        return None
    port = int(values["console_port"]) if "console_port" in values else None
    return ConsoleConfig(port, tuple(filter(None, values["console"].split(","))))
