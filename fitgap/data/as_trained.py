"""Read a model's specification from its record: its settings when it was trained, whatever params.yaml has become."""

from fitgap.data.record import Record
from fitgap.definitions.families import FAMILIES
from fitgap.params.schema import ModelSpec, Params
from fitgap.params.sections import Head, Scratch, Training
from fitgap.params.variants import Variant


def params_as_trained(params: Params, record: Record, image_size: int) -> Params:
    """Return params that are those of the training as far as networks depend on them.

    `record` is the model's own, or that of a fine-tuned model's head, because only this says how wide the head is.
    """
    section, kind = ("scratch", Scratch) if record.stage == "scratch" else ("head", Head)
    data = params.data.model_copy(update={"image_size": image_size})
    network = kind(**{key: record.params[key] for key in kind.model_fields})
    return params.model_copy(update={"data": data, section: network})


def model_as_trained(record: Record) -> ModelSpec:
    """Return the specification that a model was trained with."""
    variant = Variant(**{key: record.params[key] for key in Variant.model_fields if key in record.params})
    schedule = Training(**{key: record.params[key] for key in Training.model_fields})
    return ModelSpec(FAMILIES[record.stage], record.variant, variant, schedule, record.params)
