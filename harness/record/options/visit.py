"""What a user of the service does: the requests and flows of a load, and what an answer must be like.

In the texts of a step, ``{{name}}`` is a value of the visit: of its row of the data, or taken from an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from ..toml import validation
from ..toml.lines import Key
from .table import Name, NotNegative, Place, Positive, ScenarioTable, wrong
from .template import fill, references

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", examples=["token"])]
Source = Annotated[
    str,
    Field(
        pattern=r"^(json:.+|header:[\w-]+|body:.+)$",
        examples=["json:access_token", "header:location", 'body:csrf="([^"]+)"'],
    ),
]
# What every visit has: the number of the visit, and in a closed model that of its user.
BUILT_IN = ("visit", "user")


class VisitStep(ScenarioTable):
    """One step of a visit."""

    name: Name
    """What its requests are called in the report, and their tag for expectations."""
    tags: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Further tags for expectations."""
    think_s: NotNegative = 0.0
    """A pause before this step, which is no part of its latency."""

    def texts(self) -> Iterator[str]:
        """Everything in which a value of the visit may be named."""
        yield from ()

    def takes(self) -> Sequence[str]:
        """The values that the visit has after this step."""
        return ()


class HttpStep(VisitStep):
    """One HTTP request; what it does not say is as in `load`."""

    url: str = ""
    """Its address, relative to the load's."""
    method: Method | None = None
    """The request's method; by default the load's."""
    headers: dict[str, str] = Field(default={})
    """Headers, in addition to those of the load."""
    body: str | None = None
    """The request's body; by default the load's."""
    json_: Any = Field(default=None, alias="json")
    """A body that is sent as JSON."""
    expect_status: Annotated[tuple[int, ...] | None, Field(strict=False)] = None
    """Statuses that count as success; by default the load's."""
    expect_body: re.Pattern[str] | None = None
    """A regular expression that must be found in the answer."""
    expect_headers: dict[str, re.Pattern[str]] = Field(default={})
    """Regular expressions that must be found in these headers of the answer."""
    take: dict[Variable, Source] = Field(default={})
    """Values that later steps of the flow may name, and where they stand in the answer."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        try:
            urlsplit(fill(url, dict.fromkeys(references(url), "x")))
        except ValueError as exc:
            raise wrong(f"not an address: {exc}") from None
        return url

    @model_validator(mode="after")
    def _has_one_body(self) -> Self:
        if self.json_ is not None and self.body is not None:
            raise wrong("a request has a body or a json, not both", at=("json",))
        return self

    def texts(self) -> Iterator[str]:
        yield self.url
        yield from self.headers.values()
        yield self.body or ""
        yield from _strings(self.json_)

    def takes(self) -> Sequence[str]:
        return tuple(self.take)


class PythonStep(VisitStep):
    """One call of a coroutine function."""

    call: Place
    """The function, ``module:name``. Its one argument is the request; an exception is a failed request."""


Weight = Annotated[Positive, Field(description="How often it is chosen, in proportion to the others.")]


class HttpRequest(HttpStep):
    """A request of its own."""

    weight: Weight = 1.0


class PythonRequest(PythonStep):
    """A call of its own."""

    weight: Weight = 1.0


class _Flow(ScenarioTable):
    name: Name
    """What it is called in the report; a tag of all its steps."""
    weight: Weight = 1.0
    tags: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    """Further tags of all its steps."""


class HttpFlow(_Flow):
    """Requests of one user, one after the other. It ends early when one of them fails."""

    steps: Annotated[tuple[HttpStep, ...], Field(strict=False, min_length=1)]
    """The requests, in their order."""


class PythonFlow(_Flow):
    """Calls for one user, one after the other. It ends early when one of them fails."""

    steps: Annotated[tuple[PythonStep, ...], Field(strict=False, min_length=1)]
    """The calls, in their order."""


def check_references(steps: Sequence[VisitStep], known: Sequence[str], *, at: Key) -> None:
    """Check that each value that a step names is known by then.

    Args:
        known: The values of the data.
        at: Where *steps* are in the load; a request of its own stands there itself.

    Raises:
        PydanticCustomError: One is not known.
    """
    names = [*BUILT_IN, *known]
    for number, step in enumerate(steps):
        for text in step.texts():
            for name in references(text):
                if name not in names:
                    hint = validation.nearest(name, names)
                    place = (*at, number) if at[-1] == "steps" else at
                    note = f"Known here: {', '.join(names)}."
                    raise wrong(f"{{{{{name}}}}} is not known{hint}", at=place, note=note)
        names += step.takes()


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
