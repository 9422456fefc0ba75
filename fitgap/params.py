"""params.yaml: its schema, and one clear line for every mistake in it."""

import difflib
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    model_validator,
)

from fitgap.backbone.layers import DEPTHS, LAYERS, POOLS, first_layer
from fitgap.errors import UserError
from fitgap.strict_yaml import StrictLoader, dotted

Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]
Strength = Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
MOST = 10**9  # of anything that is counted; NumPy and TensorFlow refuse much larger numbers in words of their own
Count = Annotated[int, Field(ge=1, le=MOST)]
BatchSize = Annotated[int, Field(ge=2, le=MOST)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]


def _unique(items: list) -> list:
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


class Data(Section):
    """Section `data`: which images, and how they are split."""

    source: Literal["digits", "cifar10", "directory"]
    path: PathText
    image_size: Annotated[int, Field(ge=32, le=512)]
    train_images: Amount
    validation_images: Amount
    test_images: Amount
    split_seed: Seed
    max_bad_fraction: Fraction
    near_duplicates: Literal["warn", "fail"]


class Glyphs(Section):
    """Section `backbone.glyphs`: how VGG16 learns printed characters."""

    images: Annotated[int, Field(ge=36, le=MOST)]
    batch_size: BatchSize
    learning_rate: Rate

    @model_validator(mode="after")
    def _at_least_one_update(self):
        if self.images < self.batch_size:
            raise ValueError(f"fewer images than batch_size ({self.batch_size}); raise it or lower batch_size")
        return self


class Backbone(Section):
    """Section `backbone`: where VGG16's weights come from."""

    weights: Literal["glyphs", "imagenet", "path", "none"]
    path: PathText
    seed: Seed
    glyphs: Glyphs


class AsIs(Section):
    """Section `asis`: way 1, the unchanged network with its own classifier."""

    images: AmountOrNone


class Compute(Section):
    """Section `compute`: how VGG16's own passes are computed."""

    precision: Literal["float32", "bfloat16"]


class Training(Section):
    """What every training stage sets."""

    epochs: Count
    batch_size: BatchSize
    learning_rate: Rate


class Scratch(Training):
    """Section `scratch`: the notes' convolutional network from random weights."""

    filters: Annotated[list[Count], Field(min_length=1, max_length=5)]  # five halvings leave one pixel of 32
    dense_units: Count
    batch_norm_momentum: Fraction


class HighRate(Section):
    """Section `highrate`: the notes' network once more, at a learning rate that is too high for comfort."""

    learning_rate: Rate
    variants: Annotated[list[Name], AfterValidator(_unique)]


class Head(Training):
    """Section `head`: way 2, a new classifier on frozen features."""

    layer: Literal[POOLS]
    dense_units: Count
    batch_norm_momentum: Fraction


class Finetune(Training):
    """Section `finetune`: way 3, upper layers unfrozen, starting from a trained head."""

    head: Name
    depths: Annotated[list[Literal[DEPTHS]], Field(min_length=1), AfterValidator(_unique)]


class Variant(Section):
    """An entry of `variants`: a set of remedies. An empty entry has none."""

    dropout: Fraction = 0.0
    batch_norm: bool = False
    l1: Strength = 0.0
    l2: Strength = 0.0
    learning_rate: Rate | None = None

    @property
    def remedies(self) -> dict[str, Any]:
        """The remedies that are switched on, by name."""
        return {k: v for k, v in self.model_dump(exclude={"learning_rate"}).items() if v}


class Params(Section):
    """The whole of params.yaml."""

    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_unique)]
    data: Data
    backbone: Backbone
    compute: Compute
    asis: AsIs
    scratch: Scratch
    highrate: HighRate
    head: Head
    finetune: Finetune
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]

    @model_validator(mode="after")
    def _baseline_is_bare(self):
        if "baseline" not in self.variants:
            raise ValueError("variants: no entry 'baseline'; every comparison needs it: add 'baseline: {}'")
        if self.variants["baseline"].remedies:
            raise ValueError("variants.baseline: has remedies, but is what remedies are compared with: empty it")
        return self

    @model_validator(mode="after")
    def _names_differ_in_more_than_case(self):
        seen: dict[str, str] = {}
        for name in self.variants:
            other = seen.setdefault(name.lower(), name)
            if other != name:
                raise ValueError(
                    f"variants.{name}: the same folder as variants.{other} where case is ignored; rename one"
                )
        return self

    @model_validator(mode="after")
    def _finetune_fits_the_head(self):
        if self.finetune.head not in self.variants:
            raise ValueError(
                f"finetune.head: {self.finetune.head!r} is not a variant; allowed: {', '.join(self.variants)}"
            )
        for depth in self.finetune.depths:
            if LAYERS.index(first_layer(depth)) > LAYERS.index(self.head.layer):
                raise ValueError(
                    f"finetune.depths: {depth!r} lies above head.layer ({self.head.layer}), "
                    "where the head begins; name a lower depth or a higher head.layer"
                )
        return self

    @model_validator(mode="after")
    def _high_rate_is_higher(self):
        unknown = [name for name in self.highrate.variants if name not in self.variants]
        if unknown:
            raise ValueError(f"highrate.variants: {unknown[0]!r} is not a variant; allowed: {', '.join(self.variants)}")
        usual = self.scratch.learning_rate
        if self.highrate.learning_rate <= usual:
            raise ValueError(
                f"highrate.learning_rate: {self.highrate.learning_rate}: not higher than scratch.learning_rate "
                f"({usual}); raise it"
            )
        return self

    def variant(self, name: str) -> Variant:
        """Give an entry of `variants`; a UserError names those there are."""
        if name not in self.variants:
            raise UserError(f"{name!r} is not in `variants` of params.yaml; allowed: {', '.join(self.variants)}")
        return self.variants[name]

    def learning_rate(self, family: str, variant: str) -> float:
        """Give the learning rate of a model: the variant's own where it names one, else its family's.

        `highrate` is about its rate, and `finetune` about its depth: they keep the rate of their section.
        """
        own = self.variants[variant].learning_rate if family in ("scratch", "head") else None
        return getattr(self, family).learning_rate if own is None else own

    def of_section(self, name: str) -> dict[str, Any]:
        """Give a section flat, as runs and records carry it: dotted key -> value."""
        return _flat(getattr(self, name).model_dump(), f"{name}.")

    def of_model(self, family: str, name: str) -> dict[str, Any]:
        """Give what a model was trained with, under the same keys for every family, so that runs compare.

        `name` is a variant, or a depth for `finetune`, whose remedies and layers are those of its head.
        """
        variant = self.finetune.head if family == "finetune" else name
        trained_like = "scratch" if family == "highrate" else family
        section = getattr(self, trained_like).model_dump(exclude={"depths"})
        extra = {"depth": name, "layer": self.head.layer} if family == "finetune" else {}
        rate = self.learning_rate(family, variant)
        remedies = self.variants[variant].model_dump()
        return {**section, **extra, **remedies, "learning_rate": rate, "seeds": self.seeds}


def _flat(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
    leaves = {prefix + key: value for key, value in tree.items() if not isinstance(value, dict)}
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves |= _flat(value, f"{prefix}{key}.")
    return leaves


def load(path: Path | str = "params.yaml") -> Params:
    """Read and check params.yaml as a whole.

    Raises
    ------
    UserError
        One line: the file, the key, what was given, what is allowed.
    """
    return validated(read_tree(Path(path)), path)


def read_tree(path: Path) -> dict[str, Any]:
    """Read a file of sections as they stand, unchecked; a UserError says where it is no such file."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)  # a SafeLoader
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the repository's top folder") from None
    except OSError as error:
        raise UserError(f"{path}: not readable: {error.strerror}; it must be a text file that you may read") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds {type(tree).__name__}, not the sections {', '.join(Params.model_fields)}")
    return tree


def validated(tree: dict[str, Any], path: Path | str) -> Params:
    """Check sections as a whole; `path` is the file that a mistake is said to stand in."""
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {describe(error)}") from None


def describe(error: ValidationError) -> str:
    """Tell pydantic's findings in one line: the first in full, how many more there are."""
    problems = error.errors(include_url=False)
    line = _describe_one(problems[0])
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more after this one)"


def _describe_one(problem: dict[str, Any]) -> str:
    location, message = problem["loc"], problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return _unknown_key(location)
    of_name = location[-1:] == ("[key]",)  # pydantic's mark; an unknown key may be called that too
    key = dotted(location[:-1] if of_name else location)
    if problem["type"] == "missing":
        return f"{key}: missing; the file that ships with the project shows its default"
    if not key:  # a check across sections names its keys itself
        return message
    if of_name:
        allowed = "letters, digits, '_' and '-', at most 63, beginning with a letter or digit"
        return f"{key}: cannot be the name of a folder; allowed: {allowed}"
    return f"{key}: {_shown(problem['input'])}: {message[0].lower()}{message[1:]}"


def _unknown_key(location: tuple[str, ...]) -> str:
    *parents, key = location
    section: type[BaseModel] = Variant if parents[:1] == ["variants"] else Params
    for part in parents if section is Params else []:
        section = section.model_fields[part].annotation
    allowed = list(section.model_fields)
    near = difflib.get_close_matches(key, allowed, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{dotted(location)}: unknown key{hint} allowed here: {', '.join(allowed)}"


def _shown(value: Any) -> str:
    short = reprlib.Repr()  # aliases in YAML nest values deeper, and multiply them further, than repr() can bear
    short.maxlevel, short.maxstring, short.maxlong, short.maxother = 3, 60, 60, 60
    text = short.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
