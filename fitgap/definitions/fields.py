"""Pydantic types of the values in params.yaml, with their limits."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]

Rate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]

Strength = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]

Seed = Annotated[int, Field(ge=0, lt=2**31)]

MAX_COUNT = 10**9  # limit for all counts; far larger ones fail inside NumPy or TensorFlow with unclear errors

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]

BatchSize = Annotated[int, Field(ge=2, le=MAX_COUNT)]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]


def unique(items: list) -> list:
    """Return the list, or raise a ValueError if it has duplicate entries."""
    repeated = [item for item in items if items.count(item) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is listed more than once; list each entry once")
    return items


def _amount(value: Any) -> int | str:
    """Validate a number of images from 1 on, or "all" for the remaining images."""
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError("should be an integer from 1 on, or all")


def _amount_or_none(value: Any) -> int | str:
    """Validate a number of images from 0 on, or "all" for the remaining images."""
    if value == 0 and isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return _amount(value)
    except ValueError:
        raise ValueError("should be an integer from 0 on, or all") from None


def _path(value: str) -> str:
    """Raise a ValueError if the text cannot be a path. `preflight` checks whether the path exists."""
    if not value.strip() or "\0" in value:
        raise ValueError("should be the path of a file or folder")
    return value


Amount = Annotated[int | str, PlainValidator(_amount)]

AmountOrNone = Annotated[int | str, PlainValidator(_amount_or_none)]

PathText = Annotated[str, AfterValidator(_path)]


class Section(BaseModel):
    """A section of params.yaml: unknown keys are rejected, types are strict, instances are immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
