"""The entries of `variants` in params.yaml: a variant is a set of remedies."""

from typing import Any

from pydantic import create_model, model_validator

from fitgap.definitions.fields import Rate, Section
from fitgap.remedies import REMEDIES
from fitgap.remedies.remedy import Remedy


class _Variant(Section):
    """An entry of `variants`: the keys of its remedies. An empty entry has no remedy."""

    learning_rate: Rate | None = None

    @property
    def remedies(self) -> dict[str, Any]:
        """The keys of active remedies and their values."""
        return {key: value for key, value in self.model_dump(exclude={"learning_rate"}).items() if value}

    @property
    def active(self) -> list[Remedy]:
        """The active remedies."""
        made = (remedy(**{key: getattr(self, key) for key in remedy.model_fields}) for remedy in REMEDIES)
        return [remedy for remedy in made if remedy.is_on]

    def obstacle(self, family: str) -> str:
        """Return why this variant has no model in `family`; an empty string if it has one."""
        return "; ".join(remedy.reason for remedy in self.active if family not in remedy.families)

    @model_validator(mode="after")
    def _one_loss_and_one_optimizer(self):
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
            fields[key] = (field.annotation, field)
    return fields


Variant = create_model("Variant", __base__=_Variant, **_remedy_fields())
