"""Schema of params.yaml as a whole: checks across its sections, and the models that it declares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from fitgap.definitions.families import FAMILIES, Family
from fitgap.definitions.fields import Name, Section, Seed, unique
from fitgap.definitions.vgg16_layers import LAYERS, first_layer
from fitgap.params import sections
from fitgap.params.sections import HeadLayers, Training
from fitgap.params.variants import HEAD_KEYS, SETTINGS, Variant
from fitgap.system.errors import UserError

Choice = Mapping[str, Any]  # key -> the value chosen among its candidates
NO_CHOICE: Choice = MappingProxyType({})


class Params(Section):
    """The whole of params.yaml."""

    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(unique)]
    data: sections.Data
    backbone: sections.Backbone
    features: sections.Features
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
    def _layers_are_cached(self):
        read = {"head.layer": [self.head.layer]}
        read |= {f"variants.{name}.layer": _values(variant.layer) for name, variant in self.variants.items()}
        for key, layers in read.items():
            for layer in layers:
                if layer not in (None, *self.features.layers):
                    raise ValueError(f"{key}: {layer!r} is not in features.layers; add it there, or name another layer")
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
        rate, low = self.highrate.learning_rate, max(_values(self.scratch.learning_rate))
        if rate <= low:
            raise ValueError(f"highrate.learning_rate: {rate}: not higher than scratch.learning_rate ({low}); raise it")
        return self

    def _check_variant(self, key: str, name: str) -> None:
        if name not in self.variants:
            raise ValueError(f"{key}: {name!r} is not a variant; allowed: {', '.join(self.variants)}")

    def variant(self, name: str) -> Variant:
        """Return an entry of `variants`; raise a UserError that lists the valid names if there is none."""
        if name not in self.variants:
            raise UserError(f"{name!r} is not in `variants` of params.yaml; allowed: {', '.join(self.variants)}")
        return self.variants[name]

    def model(self, family: str, name: str, choice: Choice = NO_CHOICE) -> "ModelSpec":
        """Return the specification of a model; raise a UserError if there is no such variant.

        Parameters
        ----------
        name : a variant, or a depth for `finetune`; fine-tuned models keep the remedies and layers of their head
        choice : key -> value, for keys with candidates
        """
        own, declared = FAMILIES[family], self.variant(self.finetune.head if family == "finetune" else name)
        rate = getattr(self, family).learning_rate
        if own.takes_variant_rate and declared.learning_rate is not None:
            rate = declared.learning_rate
        candidates = {k: v for k, v in declared.candidates.items() if own.takes_variant_rate and k != "learning_rate"}
        candidates |= {"learning_rate": rate} if isinstance(rate, list) else {}
        rate = choice.get("learning_rate", rate) if isinstance(rate, list) else rate
        variant = declared.fixed(choice)
        combinations = math.prod(map(len, candidates.values()))
        own_head = {k: _values(v)[0] for k in HEAD_KEYS if (v := getattr(variant, k)) is not None}
        head = self.head.model_copy(update=own_head)
        section = head if own.network == "head" else getattr(self, own.network)
        schedule = section.model_copy(update={"learning_rate": rate})
        layers = {"depth": name, **{key: getattr(head, key) for key in HeadLayers.model_fields}}
        settings = {key: value for key, value in schedule if key != "depths"} | self.data.drawn
        settings |= layers if family == "finetune" else {}
        return ModelSpec(
            family=own,
            name=name,
            variant=variant,
            schedule=schedule,
            head=head,
            candidates={key: values for key, values in candidates.items() if key not in choice},
            trials=min(getattr(self, family).trials, combinations) if candidates else 0,
            recorded={**variant.model_dump(exclude=set(SETTINGS)), **settings, "seeds": self.seeds},
        )

    def with_train_images(self, size: int) -> "Params":
        """Return these params with another size of the training set."""
        return self.model_copy(update={"data": self.data.model_copy(update={"train_images": size})})

    @property
    def curve_seeds(self) -> list[int]:
        """The seeds of the learning curve: the first ones."""
        return self.seeds[: self.learning_curve.repetitions]

    @property
    def obstacles(self) -> dict[str, str]:
        """Model of a variant -> why it cannot be trained with its remedies; an empty string if it can."""
        families = {"scratch": self.variants, "highrate": self.highrate.variants, "head": self.variants}
        pairs = [(family, name) for family, names in families.items() for name in names]
        return {f"{family}@{name}": self.variants[name].obstacle(family) for family, name in pairs}

    @property
    def without_model(self) -> dict[str, str]:
        """Models that cannot be trained with their variant's remedies: model name -> reason."""
        return {model: obstacle for model, obstacle in self.obstacles.items() if obstacle}

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
    head: HeadLayers | None  # how the head of a borrowed model reads the frozen base; None if unknown
    recorded: dict[str, Any]  # all settings as in runs and records; the keys are the same for every family
    candidates: dict[str, list] = field(default_factory=dict)  # key -> values, of which trials choose one
    trials: int = 0  # how many combinations of candidates are tried: as many as of others, if there are as many
    passes: int = 1  # over the training images in each epoch; more in the learning curve's small sizes

    @property
    def label(self) -> str:
        """DVC's name of its stage, such as scratch@dropout."""
        return f"{self.family.name}@{self.name}"

    @property
    def obstacle(self) -> str:
        """Why this model cannot be trained; an empty string if it can."""
        return self.variant.obstacle(self.family.name)


def _values(value: Any) -> list:
    """Return the candidates of a key; of a single value, this value."""
    return value if isinstance(value, list) else [value]


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a tree's values by their dotted keys; an empty mapping is a value."""
    leaves = {prefix + key: value for key, value in tree.items() if not (isinstance(value, dict) and value)}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            leaves |= flatten(value, f"{prefix}{key}.")
    return leaves
