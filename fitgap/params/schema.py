"""Schema of params.yaml as a whole: checks across its sections, and the models that it declares."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from fitgap.definitions.families import FAMILIES, Family
from fitgap.definitions.fields import Name, Section, Seed, unique
from fitgap.definitions.vgg16_layers import LAYERS, first_layer
from fitgap.params import sections
from fitgap.params.sections import Training
from fitgap.params.variants import Variant
from fitgap.system.errors import UserError


class Params(Section):
    """The whole of params.yaml."""

    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(unique)]
    data: sections.Data
    backbone: sections.Backbone
    compute: sections.Compute
    asis: sections.AsIs
    scratch: sections.Scratch
    highrate: sections.HighRate
    head: sections.Head
    finetune: sections.Finetune
    learning_curve: sections.LearningCurve
    variants: Annotated[dict[Name, Variant], Field(min_length=1)]

    @model_validator(mode="after")
    def _baseline_is_bare(self):
        if "baseline" not in self.variants:
            raise ValueError("variants: no entry 'baseline'; every comparison needs it: add 'baseline: {}'")
        if self.variants["baseline"].remedies:
            raise ValueError("variants.baseline: has remedies, but is what remedies are compared with: empty it")
        return self

    @model_validator(mode="after")
    def _finetune_fits_the_head(self):
        self._check_variant("finetune.head", self.finetune.head)
        start = self.variants[self.finetune.head]
        if obstacle := start.obstacle("head") or start.obstacle("finetune"):
            raise ValueError(f"finetune.head: no model can start from {self.finetune.head!r}: {obstacle}; name another")
        for depth in self.finetune.depths:
            if LAYERS.index(first_layer(depth)) > LAYERS.index(self.head.layer):
                raise ValueError(
                    f"finetune.depths: {depth!r} lies above head.layer ({self.head.layer}), "
                    "where the head begins; name a lower depth or a higher head.layer"
                )
        return self

    @model_validator(mode="after")
    def _learning_curve_has_its_seeds(self):
        if self.learning_curve.sizes and self.learning_curve.repetitions > len(self.seeds):
            raise ValueError(
                f"learning_curve.repetitions: {self.learning_curve.repetitions}: at most {len(self.seeds)}, the number "
                "of seeds; lower it or add seeds"
            )
        return self

    @model_validator(mode="after")
    def _high_rate_is_higher(self):
        for name in self.highrate.variants:
            self._check_variant("highrate.variants", name)
            if obstacle := self.variants[name].obstacle("highrate"):
                raise ValueError(f"highrate.variants: {name!r} has no model here: {obstacle}; remove it from the list")
        rate, usual = self.highrate.learning_rate, self.scratch.learning_rate
        if rate <= usual:
            raise ValueError(
                f"highrate.learning_rate: {rate}: not higher than scratch.learning_rate ({usual}); raise it"
            )
        return self

    def _check_variant(self, key: str, name: str) -> None:
        if name not in self.variants:
            raise ValueError(f"{key}: {name!r} is not a variant; allowed: {', '.join(self.variants)}")

    def variant(self, name: str) -> Variant:
        """Return an entry of `variants`; raise a UserError that lists the valid names if there is none."""
        if name not in self.variants:
            raise UserError(f"{name!r} is not in `variants` of params.yaml; allowed: {', '.join(self.variants)}")
        return self.variants[name]

    def model(self, family: str, name: str) -> "ModelSpec":
        """Return the specification of a model; raise a UserError if there is no such variant.

        `name` is a variant, or a depth for `finetune`. Fine-tuned models keep the remedies and layers of their head.
        """
        own = FAMILIES[family]
        variant = self.variant(self.finetune.head if family == "finetune" else name)
        rate = variant.learning_rate if own.takes_variant_rate else None
        rate = getattr(self, family).learning_rate if rate is None else rate
        schedule = getattr(self, own.network).model_copy(update={"learning_rate": rate})
        layers = {"depth": name, "layer": self.head.layer} if family == "finetune" else {}
        recorded = {**schedule.model_dump(exclude={"depths"}), **layers, **self.data.drawn, **variant.model_dump()}
        return ModelSpec(own, name, variant, schedule, {**recorded, "learning_rate": rate, "seeds": self.seeds})

    def with_train_images(self, size: int) -> "Params":
        """Return these params with another size of the training set."""
        return self.model_copy(update={"data": self.data.model_copy(update={"train_images": size})})

    @property
    def curve_seeds(self) -> list[int]:
        """The seeds of the learning curve: the first ones."""
        return self.seeds[: self.learning_curve.repetitions]

    @property
    def without_model(self) -> dict[str, str]:
        """Models that cannot be trained with their variant's remedies: model name -> reason."""
        families = {"scratch": self.variants, "highrate": self.highrate.variants, "head": self.variants}
        pairs = [(family, name) for family, names in families.items() for name in names]
        obstacles = {f"{family}@{name}": self.variants[name].obstacle(family) for family, name in pairs}
        return {model: obstacle for model, obstacle in obstacles.items() if obstacle}

    def section_params(self, name: str) -> dict[str, Any]:
        """Return a section as a flat dictionary, as in runs and records: dotted key -> value."""
        return flatten(getattr(self, name).model_dump(), f"{name}.")


@dataclass(frozen=True)
class ModelSpec:
    """Specification of a model declared in params.yaml."""

    family: Family
    name: str  # the variant, or the depth of a fine-tuned model
    variant: Variant  # its remedies
    schedule: Training  # epochs, batch size, effective learning rate and layer widths
    recorded: dict[str, Any]  # all settings as in runs and records; the keys are the same for every family
    passes: int = 1  # over the training images in each epoch; more in the learning curve's small sizes

    @property
    def obstacle(self) -> str:
        """Why this model cannot be trained; an empty string if it can."""
        return self.variant.obstacle(self.family.name)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a tree's values by their dotted keys; an empty mapping is a value."""
    leaves = {prefix + key: value for key, value in tree.items() if not (isinstance(value, dict) and value)}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            leaves |= flatten(value, f"{prefix}{key}.")
    return leaves
