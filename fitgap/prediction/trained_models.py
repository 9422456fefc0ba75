"""Find the models that the pipeline has trained, choose one, and build its network as it was trained.

A model is a result in results/ and the weights of its best seed in models/: outputs of DVC. MLflow is not asked.
Layers and remedies come from the model's record, the size of the images from data/prepared/, whatever params.yaml has
become since.
"""

import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fitgap.data.as_trained import model_as_trained
from fitgap.data.prepared import PreparedImages, read_prepared
from fitgap.data.record import RECORD, Result, read_result
from fitgap.data.results import best, declared_models, weights_file
from fitgap.definitions.families import TRAINED
from fitgap.networks.storage import StoredBackbone, read_backbone
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.system.errors import UserError

if TYPE_CHECKING:
    import keras

WAY = "`make repro` trains what params.yaml asks for"


@dataclass(frozen=True)
class TrainedModels:
    """The trained models of a repository."""

    root: Path  # the repository's top folder

    @cached_property
    def params(self) -> Params:
        """params.yaml as it is now."""
        return load_params(self.root / "params.yaml")

    @cached_property
    def results(self) -> dict[str, Result]:
        """Model name -> result, of all families that are trained."""
        files = sorted(file for family in TRAINED for file in (self.root / "results" / family).glob(f"*/{RECORD}"))
        return {result.name: result for result in (read_result(file.parent) for file in files)}

    @cached_property
    def usable(self) -> dict[str, Result]:
        """Those of the results whose model can answer."""
        return {name: result for name, result in self.results.items() if not self._obstacle(result)}

    @cached_property
    def prepared(self) -> PreparedImages:
        """The images that the models were trained on."""
        folder = self.root / "data/prepared"
        if not (folder / "prepared.json").exists():
            raise UserError(f"{folder}: not found; it says which images the models take; {WAY}")
        return read_prepared(folder)

    @cached_property
    def backbone(self) -> StoredBackbone | None:
        """The base that borrowed networks contain; None if there is none."""
        folder = self.root / "data/backbone"
        return read_backbone(folder) if (folder / "backbone.json").exists() else None

    def weights(self, result: Result) -> Path:
        """Return the file with the weights of a model's best seed."""
        record = result.record
        return self.root / "models" / record.stage / record.variant / weights_file(record.best_seed)

    def find(self, name: str | None = None) -> Result:
        """Return the result of a model by its name, such as "scratch@dropout".

        Without a name, return the best: of the models that params.yaml declares, the one with the highest
        mean validation accuracy (`fitgap.data.results.best`). It is the champion in MLflow's registry too.

        Raises a UserError if there is no such model, or if it cannot answer; the message lists the allowed names.
        """
        if not self.usable:
            why = next(filter(None, map(self._obstacle, self.results.values())), "no results")
            raise UserError(f"{self.root / 'models'}: no model can answer ({why}); {WAY}")
        if name is None:
            names = (name for name in declared_models(self.params) if name in self.usable)
            chosen = best(self.usable[name] for name in names)
            name = chosen and chosen.name
        if name not in self.usable:
            obstacle = self._obstacle(self.results[name]) if name in self.results else "no such model is trained"
            why = f"{name}: {obstacle}" if name else "params.yaml: none of its models is trained"
            raise UserError(f"{why}; allowed: {', '.join(self.usable)}; {WAY}")
        return self.usable[name]

    def changed_settings(self, result: Result) -> list[str]:
        """Return the keys of params.yaml that have changed since a model was trained."""
        if result.name not in declared_models(self.params):
            return ["variants" if result.record.stage != "finetune" else "finetune.depths"]
        model = self.params.model(result.record.stage, result.record.variant)
        now, listed = model.recorded, model.candidates  # a value that trials chose has not changed
        own = result.record.params.items()
        return [key for key, value in own if key in now and value != now[key] and value not in listed.get(key, ())]

    def _obstacle(self, result: Result) -> str:
        """Return why a model cannot answer; an empty string if it can."""
        record = result.record
        if record.not_applicable:
            return f"not trained: {record.not_applicable}"
        if not self.weights(result).exists():
            return f"its weights are not in {self.weights(result).parent}"
        if result.seeds["val_loss_best"].isna()[record.best_seed]:
            return "its training diverged"
        if record.inputs["data"] != self.prepared.identity:
            return "trained on other images than data/prepared holds"
        if "backbone" in record.inputs and (not self.backbone or record.inputs["backbone"] != self.backbone.identity):
            return "trained with another backbone than data/backbone holds"
        return ""


def build_network(models: TrainedModels, result: Result) -> "keras.Model":
    """Build a model from raw images, uint8 RGB, to class probabilities, with the weights of its best seed.

    Call `start_tensorflow` before. A notebook's own policy of mixed precision does not change the answers.

    Raises a UserError if the weights do not fit the record.
    """
    import keras

    from fitgap.networks.assembly import Assembly

    weights, backbone, policy = models.weights(result), models.backbone, keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        size, classes = models.prepared.images.shape[1], len(result.record.classes)
        assembly = Assembly(size, classes, backbone and backbone.weights)
        with warnings.catch_warnings(action="ignore"):  # Keras warns of layers without weights before it raises
            return assembly.whole(model_as_trained(result.record), weights)
    except (ValidationError, KeyError, ValueError, OSError) as error:  # of another version's record; of Keras and h5py
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{weights}: does not fit results/ of {result.name} ({why}); {WAY}") from None
    finally:
        keras.config.set_dtype_policy(policy)
