"""Everything the report looks at, in one place: params, results by model, test labels, wall times."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fitgap.definitions.families import FAMILIES, family_of
from fitgap.images.prepared import PreparedImages
from fitgap.params.schema import Params
from fitgap.pipeline.record import Result

PROBE = "probe"
LEARNED = {"glyphs": "printed characters", "imagenet": "ImageNet", "path": "weights of your own"}
ESSENTIAL = ("train_loss_last", "val_loss_best", "val_loss_last")  # a model without these has diverged


def expected_models(params: Params) -> list[str]:
    """Name the models that params declare, in the order of the report."""
    variants = {"scratch": params.variants, "highrate": params.highrate.variants, "head": params.variants}
    named = variants | {"finetune": params.finetune.depths}
    declared = [*(f"{family}@{name}" for family, names in named.items() for name in names), "asis"]
    return [name for name in declared if name not in params.without_model]


@dataclass(frozen=True)
class Study:
    """Results of the models that params declare; others (of deleted variants) are left out.

    Attributes
    ----------
    params : Params
    results : dict
        Model name -> Result, in the order of `expected_models`.
    prepared : PreparedImages
    times : dict
        Model name -> what `fitgap.timings.of` gives, or None.
    probe : Result or None
        What linear probes found on each block of the backbone.
    orphans : tuple of str
        Names of results that no params declare.
    """

    params: Params
    results: dict[str, Result]
    prepared: PreparedImages
    times: dict[str, dict[str, Any] | None]
    probe: Result | None = None
    orphans: tuple[str, ...] = ()

    @classmethod
    def gather(cls, params: Params, results: list[Result], prepared: PreparedImages, times=None) -> "Study":
        """Gather what belongs together."""
        found = {result.name: result for result in results}
        declared = expected_models(params)
        kept = {name: found[name] for name in declared if name in found}
        orphans = tuple(name for name in found if name not in declared and family_of(name) in FAMILIES)
        return cls(params, kept, prepared, times or {}, found.get(PROBE), orphans)

    @property
    def is_transfer(self) -> bool:
        """Whether the backbone has learned anything that could be transferred."""
        return self.params.backbone.weights != "none"

    @property
    def borrowed_from(self) -> str:
        """What the backbone has learned, in words."""
        return LEARNED.get(self.params.backbone.weights, self.params.backbone.weights)

    @property
    def side_by_side(self) -> bool:
        """Whether some of the wall times were taken while another stage ran on the same machine."""
        return any(kept.get("stages_at_once", 1) > 1 for kept in self.times.values() if kept)

    @property
    def missing(self) -> list[str]:
        """Declared models without a result."""
        return [name for name in expected_models(self.params) if name not in self.results]

    def has(self, name: str) -> bool:
        """Whether there are measurements of a model, or of the probe; way 1 has none without a source classifier."""
        if name == PROBE:
            return self.probe is not None
        return name in self.results and self.results[name].is_model

    def names(self, family: str) -> list[str]:
        """Name the models of a family that have results."""
        return [name for name in self.results if family_of(name) == family]

    def seeds(self, name: str) -> pd.DataFrame:
        """Give a model's measurements as floats, one row per seed; empty where it has none."""
        return self._seeds[name]

    @cached_property
    def _seeds(self) -> dict[str, pd.DataFrame]:
        models = {name: result.seeds.astype(float) for name, result in self.results.items() if result.is_model}
        return {name: models.get(name, pd.DataFrame()) for name in self.results}

    def history(self, name: str) -> pd.DataFrame | None:
        """Give a model's history with everything that is not finite as NaN."""
        history = self.results[name].history
        return None if history is None else history.replace([np.inf, -np.inf], np.nan)

    @cached_property
    def failed(self) -> tuple[str, ...]:
        """Models of which some seed diverged: a loss, or a probability, is not a finite number."""
        return tuple(name for name in self.results if self._has_diverged(name))

    @cached_property
    def best(self) -> str | None:
        """The model with the lowest mean validation loss; the test set has no say in it.

        Trainings at the higher rate ask a question; they leave no model to choose.
        """
        offered = [n for n in self.results if FAMILIES[family_of(n)].is_offered and n not in self.failed]
        trained = [name for name in offered if "val_loss_best" in self.seeds(name)]
        return min(trained, key=lambda n: self.seeds(n)["val_loss_best"].mean(), default=None)

    def has_answers(self, name: str) -> bool:
        """Whether a model's answers on the test images are known."""
        result = self.results[name]
        return result.is_model and result.test_probabilities is not None

    def answers(self, name: str) -> np.ndarray:
        """Give the class names a model answers on the test images: str, (seeds, images)."""
        result = self.results[name]
        classes = result.record.classes
        names = classes if isinstance(classes, list) else self.prepared.class_names
        return np.asarray(names)[result.test_probabilities.argmax(axis=-1)]

    def right(self, name: str) -> pd.DataFrame:
        """Tell which answers on the test images are right: bool, one row per seed, one column per image.

        A column's name is the image's position in the test split: way 1 may have been asked about some only.
        """
        truth = np.asarray(self.prepared.class_names)[self.prepared.split("test")[1]]
        result = self.results[name]
        asked = result.record.test_positions or range(len(truth))
        return pd.DataFrame(self.answers(name) == truth[asked], index=result.seeds.index, columns=asked)

    def _has_diverged(self, name: str) -> bool:
        seeds, probabilities = self.seeds(name), self.results[name].test_probabilities
        essential = seeds[[column for column in ESSENTIAL if column in seeds]]
        finite = np.isfinite(essential.to_numpy(dtype=float)).all()
        return not (finite and (probabilities is None or np.isfinite(probabilities).all()))
