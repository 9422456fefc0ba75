"""The entries of `variants` in params.yaml: a variant is a set of remedies, and where its head reads the frozen base.

A key has one value, or a list of candidates of which trials choose one (`training/trials.py`).
"""

from typing import Annotated, Any, Literal

from pydantic import Field, create_model, model_validator

from fitgap.definitions.fields import MAX_COUNT, Rate, Section, one_or_more
from fitgap.definitions.vgg16_layers import POOLS
from fitgap.remedies import REMEDIES
from fitgap.remedies.remedy import Remedy

Units = Annotated[int, Field(ge=0, le=MAX_COUNT)]
HEAD_KEYS = ("layer", "pooling", "dense_units")  # of a variant, in place of those of section `head`
SETTINGS = ("learning_rate", *HEAD_KEYS)  # keys that are no remedies


class _Variant(Section):
    """An entry of `variants`: the keys of its remedies. An empty entry has no remedy."""

    learning_rate: one_or_more(Rate) | None = None
    layer: one_or_more(Literal[POOLS], POOLS) | None = None
    pooling: one_or_more(Literal["average", "flatten"], ("average", "flatten")) | None = None
    dense_units: one_or_more(Units, (0, 256)) | None = None

    @property
    def remedies(self) -> dict[str, Any]:
        """The keys of active remedies and their values."""
        return {key: value for key, value in self.model_dump(exclude=set(SETTINGS)).items() if value}

    @property
    def candidates(self) -> dict[str, list]:
        """The keys with more than one value, and these; the weakest first."""
        return {key: value for key, value in self.model_dump().items() if isinstance(value, list)}

    def fixed(self, choice: dict[str, Any]) -> "_Variant":
        """Return this variant with one value for each of its keys in `choice`."""
        return self.model_copy(update={key: choice[key] for key in choice if key in type(self).model_fields})

    @property
    def active(self) -> list[Remedy]:
        """The active remedies; where a key has candidates, with the last."""
        values = self.model_dump() | {key: values[-1] for key, values in self.candidates.items()}
        made = (remedy(**{key: values[key] for key in remedy.model_fields}) for remedy in REMEDIES)
        return [remedy for remedy in made if remedy.is_on]

    def obstacle(self, family: str) -> str:
        """Return why this variant has no model in `family`; an empty string if it has one."""
        reasons = [remedy.reason for remedy in self.active if family not in remedy.families]
        own = [key for key in HEAD_KEYS if getattr(self, key) is not None]
        if own and family != "head":
            reasons.append(f"{' and '.join(own)} say how a head reads the frozen base, and this model has no such head")
        return "; ".join(reasons)

    @model_validator(mode="after")
    def _remedies_can_act(self):
        acting = [own for own in self.active if type(own).before_activation is not Remedy.before_activation]
        if acting and self.dense_units == 0:
            raise ValueError("dense_units: 0: leaves no hidden layer for batch normalisation to act on; leave one out")
        for method in ("loss", "optimizer"):
            own = [type(remedy) for remedy in self.active]
            names = [kind.__name__ for kind in own if getattr(kind, method) is not getattr(Remedy, method)]
            if len(names) > 1:
                raise ValueError(f"{' and '.join(names)} each replace the {method}; a variant can have one of them")
        return self


def _remedy_fields() -> dict[str, Any]:
    """Return the fields of all remedies as arguments for pydantic's `create_model`."""
    fields: dict[str, Any] = {}
    for remedy in REMEDIES:
        for key, field in remedy.model_fields.items():
            if key in fields:
                raise TypeError(f"{remedy.__name__}.{key}: another remedy has a key of this name")
            kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            fields[key] = (one_or_more(kind, remedy.candidates.get(key, ())), field.default)
    return fields


Variant = create_model("Variant", __base__=_Variant, **_remedy_fields())
