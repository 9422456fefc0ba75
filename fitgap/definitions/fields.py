"""Pydantic types of the values in params.yaml, with their limits."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

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


def _amount(least: int) -> Any:
    """Return the type of a number of images from `least` on, or "all" for the remaining images."""

    def validate(value: Any) -> int | str:
        if value == "all" or (isinstance(value, int) and not isinstance(value, bool) and value >= least):
            return value
        raise ValueError(f"should be an integer from {least} on, or all")

    return Annotated[int | str, PlainValidator(validate)]


Amount, AmountOrNone = _amount(1), _amount(0)
PathText = Annotated[str, Field(min_length=1)]  # `preflight` checks whether it exists
TUNE = "tune"  # in params.yaml: the candidates that the program knows for a key


def one_or_more(kind: Any, candidates: tuple = ()) -> Any:
    """Return the type of a value of `kind`, or of a list of candidates for it; `tune` stands for `candidates`."""
    adapter = TypeAdapter(kind, config=ConfigDict(strict=True))

    def validate(value: Any) -> Any:
        values = list(candidates) if value == TUNE and candidates else value
        try:
            if not isinstance(values, list):
                return adapter.validate_python(values)
            several = unique([adapter.validate_python(item) for item in values])
            return several if len(several) > 1 else several[0]
        except IndexError:
            raise ValueError("should have a candidate") from None
        except ValidationError as error:
            also = f"; or a list of candidates{f', or {TUNE}' if candidates else ''}"
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ") + also) from None

    return Annotated[Any, PlainValidator(validate)]


class Section(BaseModel):
    """A section of params.yaml: unknown keys are rejected, types are strict, instances are immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
