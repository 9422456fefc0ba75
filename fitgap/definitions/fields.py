"""Types of the values in params.yaml, with their limits."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]

Rate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]

Strength = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]

Seed = Annotated[int, Field(ge=0, lt=2**31)]

MAX_COUNT = 10**9  # of anything that is counted; NumPy and TensorFlow refuse much larger numbers in words of their own

Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]

BatchSize = Annotated[int, Field(ge=2, le=MAX_COUNT)]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]


def unique(items: list) -> list:
    """Refuse a list in which an entry stands twice."""
    repeated = [item for item in items if items.count(item) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} stands in it more than once; name each once")
    return items


def _amount(value: Any) -> int | str:
    """Take a number of images, or all that are left."""
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError("should be an integer from 1 on, or all")


def _amount_or_none(value: Any) -> int | str:
    """Take a number of images, all that are left, or 0 for none."""
    if value == 0 and isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return _amount(value)
    except ValueError:
        raise ValueError("should be an integer from 0 on, or all") from None


def _path(value: str) -> str:
    """Refuse what cannot be a path; whether something stands there, `preflight` asks."""
    if not value.strip() or "\0" in value:
        raise ValueError("should be the path of a file or folder")
    return value


Amount = Annotated[int | str, PlainValidator(_amount)]

AmountOrNone = Annotated[int | str, PlainValidator(_amount_or_none)]

PathText = Annotated[str, AfterValidator(_path)]


class Section(BaseModel):
    """A part of params.yaml: every key known, every type exact, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
