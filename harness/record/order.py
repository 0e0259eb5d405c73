"""What the runner asks of the probe, as the text of one environment variable that child processes inherit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "HARNESS_PROBE"


@dataclass(frozen=True, slots=True)
class Order:
    """Where to write, and what to switch on."""

    folder: Path  # the run's
    limit_ns: int  # a turn longer than this is a block
    control: str = ""  # folder for the control sockets, "" for none
    console_port: int | None = None  # open an aiomonitor there; 0: any free port
    profile_span: str = ""  # profile one span of this name with pyinstrument
    calls: bool = False  # count the synchronous calls on the threads of loops
    origins: bool = False  # keep where coroutines are made
    application: tuple[str, ...] = ()  # folders, files or packages of the program's own code; (): found out

    def text(self) -> str:
        """The variable's text: ``key=value`` lines, the folder first.

        Not JSON: `json` is an import that a process without a loop would not need.
        """
        lines = [f"folder={self.folder}", f"limit_ns={self.limit_ns}"]
        lines += [f"control={self.control}"] if self.control else []
        lines += [f"console_port={self.console_port}"] if self.console_port is not None else []
        lines += [f"profile_span={self.profile_span}"] if self.profile_span else []
        lines += ["calls=yes"] if self.calls else []
        lines += ["origins=yes"] if self.origins else []
        lines += [f"application={os.pathsep.join(self.application)}"] if self.application else []
        return "\n".join(lines)

    @classmethod
    def parse(cls, text: str) -> Order:
        """The order of a text.

        Raises:
            ValueError: The text is no order.
        """
        values = dict(line.partition("=")[::2] for line in text.splitlines())
        if not {"folder", "limit_ns"} <= values.keys():
            raise ValueError(f"{VARIABLE}: expected at least folder= and limit_ns=, got {text!r}")
        return cls(
            folder=Path(values["folder"]),
            limit_ns=int(values["limit_ns"]),
            control=values.get("control", ""),
            console_port=int(values["console_port"]) if "console_port" in values else None,
            profile_span=values.get("profile_span", ""),
            calls="calls" in values,
            origins="origins" in values,
            application=tuple(filter(None, values.get("application", "").split(os.pathsep))),
        )
