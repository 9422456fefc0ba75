"""Read a model's specification from its record: its settings when it was trained, whatever params.yaml has become."""

from typing import Any

from pydantic import BaseModel

from fitgap.data.record import Record
from fitgap.definitions.families import FAMILIES
from fitgap.params.schema import ModelSpec
from fitgap.params.sections import Contestants, HeadLayers, Scratch
from fitgap.params.variants import SETTINGS, Variant


def model_as_trained(record: Record) -> ModelSpec:
    """Return the specification that a model was trained with."""
    family = FAMILIES[record.stage]
    schedule = _read(Scratch if family.network == "scratch" else Contestants, record.params)
    head = _read(HeadLayers, record.params) if family.network != "scratch" else None
    remedies = {key: record.params[key] for key in Variant.model_fields if key in record.params and key not in SETTINGS}
    return ModelSpec(family, record.variant, Variant(**remedies), schedule, head, record.params)


def _read(kind: type[BaseModel], params: dict[str, Any]) -> Any:
    return kind(**{key: params[key] for key in kind.model_fields})
