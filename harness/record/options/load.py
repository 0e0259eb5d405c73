"""What a scenario says about its load."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from ...errors import ScenarioError
from . import visit_data
from .stages import Rate, RatePiece, Stage, pieces
from .table import BesideTheFile, Count, NotNegative, Place, Positive, ScenarioTable, Url, wrong
from .visit import (
    HttpFlow,
    HttpRequest,
    HttpStep,
    Method,
    PythonFlow,
    PythonRequest,
    PythonStep,
    check_references,
)

AnyStep = HttpStep | PythonStep
AnyRequest = HttpRequest | PythonRequest
AnyFlow = HttpFlow | PythonFlow


class _Load(ScenarioTable):
    _instead: ClassVar[str] = ", or stages"

    rate_per_s: Rate | None = None
    """Mean requests per second. They do not wait for the target."""
    duration_s: Positive | None = None
    """Duration of the schedule; with stages, the sum of theirs."""
    stages: Annotated[tuple[Stage, ...], Field(strict=False)] = ()
    """How the rate changes in time, instead of `rate_per_s` and `duration_s`."""
    find: Literal["capacity"] | None = None
    """Runs the scenario again and again, from `rate_per_s` on, to find the most that meets `expect`."""
    arrival: Literal["poisson", "constant"] = "poisson"
    """Random arrivals of independent users, or evenly spaced requests."""
    warm_up_s: NotNegative = 0.0
    """Requests that are due in this time do not count in the figures of the load."""
    max_late_ms: Positive = 50.0
    """If the driver itself sends later than this at the 99th percentile, the measurement is invalid."""
    drain_s: NotNegative = 10.0
    """How long to wait for answers after the schedule."""

    @property
    def lasts_s(self) -> float:
        """Duration of the schedule."""
        return self.duration_s or sum(stage.for_s for stage in self.stages)

    @property
    def plan(self) -> tuple[RatePiece, ...]:
        """How the rate changes in time; empty for a closed model."""
        if self.rate_per_s is not None:
            return (RatePiece(self.lasts_s, self.rate_per_s, self.rate_per_s),)
        return tuple(pieces(self.stages))

    @property
    def closed(self) -> int:
        """The number of users of a closed model, 0 for an open one."""
        return 0

    def parameters(self) -> dict[str, object]:
        """The parameters of the sender, without the schedule and the visits."""
        return {}

    def visits(self) -> list[dict[str, Any]]:
        """What users do, for the driver; empty where each request is a message."""
        return []

    @property
    def tags(self) -> set[str]:
        """The tags of all steps."""
        return {tag for visit in self.visits() for step in visit["steps"] for tag in step["tags"]}

    @property
    def data_file(self) -> str:
        """The file with the values of the visits; "" for none."""
        return ""

    @model_validator(mode="after")
    def _has_one_schedule(self) -> Self:
        if self.stages:
            for key in ("rate_per_s", "duration_s"):
                if getattr(self, key) is not None:
                    raise wrong("belongs to a load without stages, which say it themselves", at=(key,))
            if not any(piece.from_per_s or piece.to_per_s for piece in self.plan):
                raise wrong("no stage has a rate above 0", at=("stages",))
        elif self.duration_s is None:
            raise wrong("missing; expected a finite number > 0, or stages", at=("duration_s",))
        elif self.rate_per_s is None and not self.closed:
            raise wrong(f"missing; expected a finite number > 0{self._instead}", at=("rate_per_s",))
        if self.find and self.rate_per_s is None:
            raise wrong("a capacity is found by changing load.rate_per_s, which is missing", at=("find",))
        if self.warm_up_s >= self.lasts_s:
            message = f"expected a time shorter than the load ({self.lasts_s:g} s), got {self.warm_up_s:g}"
            raise wrong(message, at=("warm_up_s",))
        return self


class SqliteLoad(_Load):
    """Messages to the SQLite broker of the built-in chaos service."""

    sender: Literal["sqlite"]


class NatsLoad(_Load):
    """Messages to the NATS broker of the built-in chaos service."""

    sender: Literal["nats"]


class RedisLoad(_Load):
    """Messages to the Redis broker of the built-in chaos service."""

    sender: Literal["redis"]


class _VisitLoad(_Load):
    _instead: ClassVar[str] = ", stages or users"

    users: Count | None = None
    """A closed model instead of a rate: so many users, each of whom waits for an answer before going on."""
    data: BesideTheFile | None = None
    """A CSV or JSON lines file; each visit has the values of the next row."""
    timeout_s: Positive = 30.0
    """A request that takes longer has failed."""

    @property
    def closed(self) -> int:
        return self.users or 0

    @property
    def data_file(self) -> str:
        return str(self.data or "")

    def visits(self) -> list[dict[str, Any]]:
        return [{"weight": weight, "steps": steps} for weight, steps in self._visits()]

    def _visits(self) -> Iterator[tuple[float, list[dict[str, Any]]]]:
        for request in self._requests():
            yield request.weight, [self._step(request, request.tags)]
        for flow in self._flows():
            yield flow.weight, [self._step(step, (*step.tags, flow.name, *flow.tags)) for step in flow.steps]

    def _step(self, step: AnyStep, tags: tuple[str, ...]) -> dict[str, Any]:
        return {"tags": [*dict.fromkeys((step.name, *tags))], "think_s": step.think_s, **self._what(step)}

    @model_validator(mode="after")
    def _is_open_or_closed(self) -> Self:
        if self.users is not None and (self.rate_per_s is not None or self.stages):
            key = "stages" if self.stages else "rate_per_s"
            raise wrong("belongs to an open model; users send when they have their answer", at=(key,))
        return self

    @model_validator(mode="after")
    def _is_well_named(self) -> Self:
        names: list[str] = []
        for key, group in (("requests", self._requests()), ("flows", self._flows())):
            for index, each in enumerate(group):
                if each.name in names:
                    raise wrong(f'"{each.name}" is taken', at=(key, index, "name"))
                names.append(each.name)
        known: Sequence[str] = ()
        if self.data is not None:
            try:
                known = tuple(visit_data.rows(self.data)[0])
            except ScenarioError as exc:
                raise wrong(str(exc), at=("data",)) from None
        for index, request in enumerate(self._requests()):
            check_references([request], known, at=("requests", index))
        for index, flow in enumerate(self._flows()):
            check_references(flow.steps, known, at=("flows", index, "steps"))
        return self

    def _requests(self) -> Sequence[AnyRequest]:
        return getattr(self, "requests", ())

    def _flows(self) -> Sequence[AnyFlow]:
        return getattr(self, "flows", ())

    def _what(self, step: AnyStep) -> dict[str, Any]:
        raise NotImplementedError


class HttpLoad(_VisitLoad):
    """HTTP requests."""

    sender: Literal["http"]
    url: Url
    """The address of the requests."""
    method: Method = "GET"
    """The request's method."""
    headers: dict[str, str] = Field(default={})
    """Headers, in addition to `traceparent`, which every request carries."""
    body: str = ""
    """The request's body."""
    expect_status: Annotated[tuple[int, ...], Field(strict=False)] = ()
    """Statuses that count as success; if empty, all below 400."""
    cookies: bool = False
    """Whether a visit keeps the cookies that it is given, until its end."""
    requests: Annotated[tuple[HttpRequest, ...], Field(strict=False)] = ()
    """Different requests; each visit is one of them. Without them and flows, all requests are alike."""
    flows: Annotated[tuple[HttpFlow, ...], Field(strict=False)] = ()
    """Visits of several requests."""

    def parameters(self) -> dict[str, object]:
        return {"url": self.url, "cookies": self.cookies, "timeout_s": self.timeout_s}

    def _visits(self) -> Iterator[tuple[float, list[dict[str, Any]]]]:
        if not self.requests and not self.flows:
            yield 1.0, [{"tags": [], "think_s": 0.0, **self._what(HttpStep(name="all"))}]
        yield from super()._visits()

    def _what(self, step: AnyStep) -> dict[str, Any]:
        assert isinstance(step, HttpStep)
        return {
            "url": step.url,
            "method": step.method or self.method,
            "headers": {**self.headers, **step.headers},
            "body": self.body if step.body is None else step.body,
            "json": step.json_,
            "expect_status": self.expect_status if step.expect_status is None else step.expect_status,
            "expect_body": step.expect_body.pattern if step.expect_body is not None else "",
            "expect_headers": {name: text.pattern for name, text in step.expect_headers.items()},
            "take": step.take,
        }


class PythonLoad(_VisitLoad):
    """Calls of coroutine functions of the user's own, in the load driver."""

    sender: Literal["python"]
    call: Place | None = None
    """The function, ``module:name``. Its one argument is the request; an exception is a failed request."""
    cwd: Annotated[BesideTheFile, Field(validate_default=True)] = Path()
    """The folder of its module, relative to the scenario file."""
    requests: Annotated[tuple[PythonRequest, ...], Field(strict=False)] = ()
    """Different calls; each visit is one of them."""
    flows: Annotated[tuple[PythonFlow, ...], Field(strict=False)] = ()
    """Visits of several calls."""

    def parameters(self) -> dict[str, object]:
        return {"cwd": str(self.cwd), "timeout_s": self.timeout_s}

    @model_validator(mode="after")
    def _calls_something(self) -> Self:
        if self.call is None and not self.requests and not self.flows:
            raise wrong("missing; expected a string such as module:function, requests or flows", at=("call",))
        return self

    def _visits(self) -> Iterator[tuple[float, list[dict[str, Any]]]]:
        if self.call is not None:
            yield 1.0, [{"tags": [], "think_s": 0.0, "call": self.call}]
        yield from super()._visits()

    def _what(self, step: AnyStep) -> dict[str, Any]:
        assert isinstance(step, PythonStep)
        return {"call": step.call}


AnyLoad = SqliteLoad | NatsLoad | RedisLoad | HttpLoad | PythonLoad
Load = Annotated[AnyLoad, Field(discriminator="sender")]
