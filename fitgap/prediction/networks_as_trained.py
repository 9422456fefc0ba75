"""Build the network of a result as it was trained, whatever params.yaml has become since.

Layers and remedies come from the model's record, the size of the images from data/prepared/.
"""

import warnings
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fitgap.data.record import Record, Result
from fitgap.definitions.families import FAMILIES
from fitgap.params.schema import ModelSpec, Params
from fitgap.params.sections import Head, Scratch
from fitgap.params.variants import Variant
from fitgap.prediction.trained_models import WAY, TrainedModels
from fitgap.system.errors import UserError

if TYPE_CHECKING:
    import keras


def build_network(models: TrainedModels, result: Result) -> "keras.Model":
    """Build a model from raw images, uint8 RGB, to class probabilities, with the weights of its best seed.

    Call `start_tensorflow` before.

    Raises
    ------
    UserError
        If the weights do not fit the record.
    """
    from fitgap.networks.assembly import Assembly

    weights, backbone = models.weights(result), models.backbone
    try:
        params, model = _params_as_trained(models, result.record), _model_as_trained(result.record)
        assembly = Assembly(params, len(result.record.classes), backbone and backbone.weights)
        with warnings.catch_warnings(action="ignore"):  # Keras warns of layers without weights before it raises
            return assembly.whole(model, weights)
    except (ValidationError, KeyError, ValueError, OSError) as error:  # of another version's record; of Keras and h5py
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{weights}: does not fit results/ of {result.name} ({why}); {WAY}") from None


def _params_as_trained(models: TrainedModels, record: Record) -> Params:
    """Return params that are those of the training as far as networks depend on them."""
    data = models.params.data.model_copy(update={"image_size": models.prepared.images.shape[1]})
    if record.stage == "scratch":
        return models.params.model_copy(update={"data": data, "scratch": _section(Scratch, record)})
    return models.params.model_copy(update={"data": data, "head": _section(Head, _head_of(models, record))})


def _head_of(models: TrainedModels, record: Record) -> Record:
    """Return the record of the head: a fine-tuned model's own record does not say how wide its head is."""
    return record if record.stage == "head" else models.results[f"head@{record.params['head']}"].record


def _section(kind: type[Scratch] | type[Head], record: Record) -> Scratch | Head:
    return kind(**{key: record.params[key] for key in kind.model_fields})


def _model_as_trained(record: Record) -> ModelSpec:
    variant = Variant(**{key: record.params[key] for key in Variant.model_fields if key in record.params})
    return ModelSpec(FAMILIES[record.stage], record.variant, variant, schedule=None, recorded=record.params)
