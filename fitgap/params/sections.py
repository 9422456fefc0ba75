"""The sections of params.yaml and their allowed values, except for `variants`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from fitgap.definitions.fields import (
    MAX_COUNT,
    Amount,
    AmountOrNone,
    BatchSize,
    Count,
    Fraction,
    Name,
    PathText,
    Rate,
    Section,
    Seed,
    one_or_more,
    unique,
)
from fitgap.definitions.vgg16_layers import DEPTHS, POOLS


class Data(Section):
    """Section `data`: the images, and how many each repetition draws."""

    source: Literal["digits", "cifar10", "directory"]
    path: PathText
    split_folders: Literal["by_name", "none"]
    image_size: Annotated[int, Field(ge=32, le=512)]
    pool_images: Amount
    train_images: Amount
    validation_images: Amount
    test_images: Amount
    split_seed: Seed
    max_bad_fraction: Fraction
    near_duplicates: Literal["warn", "fail"]

    @property
    def drawn(self) -> dict[str, Any]:
        """The settings of what each seed draws, as stored in records and runs."""
        return {"train_images": self.train_images, "validation_images": self.validation_images}


class Glyphs(Section):
    """Section `backbone.glyphs`: pre-training on printed characters."""

    images: Annotated[int, Field(ge=36, le=MAX_COUNT)]
    batch_size: BatchSize
    learning_rate: Rate
    threads: Amount

    @model_validator(mode="after")
    def _at_least_one_update(self):
        if self.images < self.batch_size:
            raise ValueError(f"fewer images than batch_size ({self.batch_size}); raise it or lower batch_size")
        return self


class Backbone(Section):
    """Section `backbone`: the source of VGG16's weights."""

    weights: Literal["glyphs", "imagenet", "path", "none"]
    path: PathText
    seed: Seed
    glyphs: Glyphs


class AsIs(Section):
    """Section `asis`: way 1, the pre-trained network with its original classifier."""

    images: AmountOrNone


class Compute(Section):
    """Section `compute`: arithmetic and kernels."""

    precision: Literal["float32", "bfloat16"]
    hand_written_kernels: bool
    threads: Amount


class Features(Section):
    """Section `features`: the frozen layers that are cached."""

    layers: Annotated[list[Literal[POOLS]], Field(min_length=1), AfterValidator(unique)]


class Training(Section):
    """Settings shared by all training stages."""

    epochs: Count
    batch_size: BatchSize
    learning_rate: one_or_more(Rate)


class Contestants(Training):
    """Settings shared by all families whose models are compared."""

    trials: Annotated[int, Field(ge=1, le=1000)]  # of each model; 1: its middle candidates, untried
    validation_freq: Count


class Scratch(Contestants):
    """Section `scratch`: the notes' convolutional network, trained from random weights."""

    filters: Annotated[list[Count], Field(min_length=1, max_length=5)]  # five poolings reduce 32 pixels to 1
    dense_units: Count
    batch_norm_momentum: Fraction


class HighRate(Section):
    """Section `highrate`: the notes' network at a higher learning rate."""

    learning_rate: Rate
    variants: Annotated[list[Name], AfterValidator(unique)]


class HeadLayers(Section):
    """How a head reads the frozen base."""

    layer: Literal[POOLS]
    pooling: Literal["average", "flatten"]
    dense_units: Annotated[int, Field(ge=0, le=MAX_COUNT)]
    batch_norm_momentum: Fraction


class Head(HeadLayers, Contestants):
    """Section `head`: way 2, a new classifier on frozen features."""


class Finetune(Contestants):
    """Section `finetune`: way 3, upper layers unfrozen, starting from a trained head."""

    head: Name
    depths: Annotated[list[Literal[DEPTHS]], Field(min_length=1), AfterValidator(unique)]


class LearningCurve(Section):
    """Section `learning_curve`: the best from scratch and the best that borrows, at several training-set sizes."""

    sizes: Annotated[list[Count], AfterValidator(unique)]
    repetitions: Count
