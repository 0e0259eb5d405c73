"""The options of `run` and `watch` for samples and profilers."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from ..errors import UsageError
from ..record.probe_config import ProbeConfig
from ..record.value import replace
from . import amount, completion

HZ = 100
MOST_HZ = 1000
PYINSTRUMENT = "pyinstrument="
# Name for `--profiler`: key in a scenario's `[profile]`.
OTHERS = {"cprofile": "cprofile", "pyspy": "py_spy", "tachyon": "tachyon", "strace": "strace"}
OUTSIDE = ("pyspy", "tachyon", "strace")


@dataclass(frozen=True, slots=True)
class ProfileAsked:
    """The values of the options."""

    hz: int  # 0 for no samples
    span: str  # for pyinstrument, "" for none
    every: int
    slower_ms: float
    profilers: tuple[str, ...]  # of `OTHERS`

    def overrides(self) -> Iterator[str]:
        """The options as changes to a scenario."""
        if self.hz:
            yield f"probe.sample_hz={self.hz}"
        if self.span:
            yield f"profile.pyinstrument={json.dumps(self.span)}"
        if self.every != 1:
            yield f"profile.pyinstrument_every={self.every}"
        if self.slower_ms:
            yield f"profile.pyinstrument_slower_ms={self.slower_ms}"
        yield from (f"profile.{OTHERS[name]}=true" for name in self.profilers)

    @property
    def outside(self) -> tuple[str, ...]:
        """The profilers that record the process from outside."""
        return tuple(name for name in self.profilers if name in OUTSIDE)

    def added_to(self, config: ProbeConfig) -> ProbeConfig:
        """Return *config* with the values of these options."""
        return replace(
            config,
            sample_hz=self.hz,
            profile_span=self.span,
            profile_every=self.every,
            profile_slower_ms=self.slower_ms,
            cprofile="cprofile" in self.profilers,
        )


def profile_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them as one argument, `profile_asked`."""

    @click.option(
        "--sample",
        is_flag=False,
        flag_value=HZ,
        default=0,
        type=click.IntRange(0, MOST_HZ),
        metavar="[HZ]",
        help=f"Sample the running loop with its task and span, HZ times per second.  [without HZ: {HZ}]",
    )
    @click.option(
        "--profiler",
        multiple=True,
        metavar="NAME",
        shell_complete=completion.profilers,
        help=f"Profile with {', '.join(OTHERS)}, or {PYINSTRUMENT}SPAN for spans of that name.",
    )
    @click.option(
        "--profile-every",
        type=click.IntRange(min=1),
        default=1,
        metavar="N",
        help="With pyinstrument: profile every Nth matching span, up to ten.",
    )
    @click.option(
        "--profile-slower-ms",
        type=amount.milliseconds(),
        default=0.0,
        metavar="MS",
        help="With pyinstrument: keep up to ten profiles, of spans that took at least MS.",
    )
    @functools.wraps(command)
    def collected(
        *args: object,
        sample: int,
        profiler: tuple[str, ...],
        profile_every: int,
        profile_slower_ms: float,
        **kwargs: object,
    ) -> Any:
        asked = _asked(profiler, sample, profile_every, profile_slower_ms)
        return command(*args, profile_asked=asked, **kwargs)

    return collected


def _asked(names: tuple[str, ...], hz: int, every: int, slower_ms: float) -> ProfileAsked:
    spans = [name.removeprefix(PYINSTRUMENT) for name in names if name.startswith(PYINSTRUMENT)]
    others = tuple(dict.fromkeys(name for name in names if not name.startswith(PYINSTRUMENT)))
    for name in others:
        if name == PYINSTRUMENT.removesuffix("="):
            exc = UsageError(f"--profiler {name}: it profiles single spans, so name one: {PYINSTRUMENT}SPAN")
            exc.add_note('For example: --profiler "pyinstrument=process order"')
            raise exc
        if name not in OTHERS:
            exc = UsageError(f"--profiler {name}: no such profiler")
            exc.add_note(f"Profilers: {', '.join(OTHERS)}, and {PYINSTRUMENT}SPAN.")
            raise exc
    if len(spans) > 1 or "" in spans:
        raise UsageError(f"--profiler {PYINSTRUMENT}SPAN: expected the name of one span")
    if spans and "cprofile" in others:
        raise UsageError("--profiler: pyinstrument and cprofile cannot both hook into a thread's calls")
    if not spans and (every != 1 or slower_ms):
        raise UsageError(f"--profile-every and --profile-slower-ms need --profiler {PYINSTRUMENT}SPAN")
    return ProfileAsked(hz, spans[0] if spans else "", every, slower_ms, others)
