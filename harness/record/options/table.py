"""The types of a scenario's values, and the base of its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from ..toml import validation
from ..toml.lines import Key


class ScenarioTable(BaseModel):
    """A table of the file."""

    # Strict, because TOML has types: "50" is not a number, and true is not 1.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def wrong(message: str, *, at: Key = (), note: str = "") -> PydanticCustomError:
    """An error whose message is shown as it is, about the key *at* inside the validated value."""
    context = {"message": message, "at": at, "note": note}
    return PydanticCustomError(validation.WORDED, "{message}", context)


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    return Path(info.context["folder"] if info.context else ".", path).resolve()


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", examples=["slow-host.2"])]
Place = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*(\.([A-Za-z_]\w*|<locals>))*$",
        examples=["package.module:Class.method"],
    ),
]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$", examples=["http://127.0.0.1:8080/"])]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
BesideTheFile = Annotated[Path, Field(strict=False), AfterValidator(_beside_the_file)]
