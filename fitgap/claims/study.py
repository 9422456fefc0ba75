"""What claims and the report read: params, results by model, prepared images and wall times."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fitgap.data.draws import count_drawn, drawn_splits
from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Result
from fitgap.definitions.families import FAMILIES, family_of
from fitgap.params.schema import Params

PROBE, CURVE = "probe", "learning_curve"
LEARNED = {"glyphs": "printed characters", "imagenet": "ImageNet", "path": "weights of your own"}
ESSENTIAL = ("train_loss_last", "val_loss_best", "val_loss_last")  # if not finite, the model diverged


def expected_models(params: Params) -> list[str]:
    """Return the names of the models declared in params, in the order of the report."""
    variants = {"scratch": params.variants, "highrate": params.highrate.variants, "head": params.variants}
    named = variants | {"finetune": params.finetune.depths}
    declared = [*(f"{family}@{name}" for family, names in named.items() for name in names), "asis"]
    return [name for name in declared if name not in params.without_model]


@dataclass(frozen=True)
class Study:
    """Results of the models declared in params; results of deleted variants are left out.

    Attributes
    ----------
    params : Params
    results : dict
        Model name -> Result, in the order of `expected_models`.
    prepared : PreparedImages
    times : dict
        Model name -> wall times from `fitgap.pipeline.timings.load`, or None.
    probe : Result or None
        Result of the linear probes on the blocks of the backbone.
    curve : dict
        Size of the training set -> Result of the learning curve; sizes ascend, the usual size is not among them.
    orphans : tuple of str
        Names of results whose models params do not declare.
    """

    params: Params
    results: dict[str, Result]
    prepared: PreparedImages
    times: dict[str, dict[str, Any] | None]
    probe: Result | None = None
    curve: dict[int, Result] = field(default_factory=dict)
    orphans: tuple[str, ...] = ()

    @classmethod
    def gather(cls, params: Params, results: list[Result], prepared: PreparedImages, times=None) -> "Study":
        """Build a study: sort `results` into declared models, the probe and orphans.

        `times` maps model names to wall times; None if there are none.
        """
        found = {result.name: result for result in results}
        declared = expected_models(params)
        kept = {name: found[name] for name in declared if name in found}
        orphans = tuple(name for name in found if name not in declared and family_of(name) in FAMILIES)
        points = [(size, found.get(f"{CURVE}@{size}")) for size in sorted(params.learning_curve.sizes)]
        curve = {size: point for size, point in points if point is not None and point.record.ways}
        return cls(params, kept, prepared, times or {}, found.get(PROBE), curve, orphans)

    @cached_property
    def drawn(self) -> list[str]:
        """The splits whose images differ between seeds: "train", "validation", both or none."""
        return drawn_splits(self.prepared, self.params.data)

    @cached_property
    def train_images(self) -> int:
        """Number of distinct training images of a seed."""
        return count_drawn(self.prepared, self.params.data)["train"]

    def right_by_layer(self, result: Result) -> np.ndarray:
        """Return 1.0 for each correct prediction of probes, or of ways: float, (layers or ways, seeds, images)."""
        return (result.test_probabilities.argmax(axis=-1) == self.prepared.part("test")[1]).astype(float)

    @property
    def is_transfer(self) -> bool:
        """Whether the backbone is pre-trained."""
        return self.params.backbone.weights != "none"

    @property
    def borrowed_from(self) -> str:
        """The data the backbone was pre-trained on, in words."""
        return LEARNED.get(self.params.backbone.weights, self.params.backbone.weights)

    @property
    def side_by_side(self) -> bool:
        """Whether another stage ran on the same machine while some of the wall times were measured."""
        return any(kept.get("stages_at_once", 1) > 1 for kept in self.times.values() if kept)

    @property
    def missing(self) -> list[str]:
        """Declared models without a result."""
        return [name for name in expected_models(self.params) if name not in self.results]

    def has(self, name: str) -> bool:
        """Whether a model, or the probe, has measurements; way 1 has none without a source classifier."""
        if name == PROBE:
            return self.probe is not None
        return name in self.results and self.results[name].is_model

    def names(self, family: str) -> list[str]:
        """Return the names of a family's models with results."""
        return [name for name in self.results if family_of(name) == family]

    def seeds(self, name: str) -> pd.DataFrame:
        """Return a model's measurements as floats, one row per seed; empty if it has none."""
        return self._seeds[name]

    @cached_property
    def _seeds(self) -> dict[str, pd.DataFrame]:
        models = {name: result.seeds.astype(float) for name, result in self.results.items() if result.is_model}
        return {name: models.get(name, pd.DataFrame()) for name in self.results}

    def history(self, name: str) -> pd.DataFrame | None:
        """Return a model's training history with infinities replaced by NaN; None if it has no history."""
        history = self.results[name].history
        return None if history is None else history.replace([np.inf, -np.inf], np.nan)

    @cached_property
    def failed(self) -> tuple[str, ...]:
        """Models with a diverged seed: an essential loss or a probability is not finite."""
        return tuple(name for name in self.results if self._has_diverged(name))

    @cached_property
    def best(self) -> str | None:
        """Model with the lowest mean validation loss; None if there is none. Test results are not used.

        Models trained at the higher learning rate only test a claim and are excluded.
        """
        offered = [n for n in self.results if FAMILIES[family_of(n)].is_offered and n not in self.failed]
        trained = [name for name in offered if "val_loss_best" in self.seeds(name)]
        return min(trained, key=lambda n: self.seeds(n)["val_loss_best"].mean(), default=None)

    def has_answers(self, name: str) -> bool:
        """Whether a model has predictions on the test images."""
        result = self.results[name]
        return result.is_model and result.test_probabilities is not None

    def answers(self, name: str) -> np.ndarray:
        """Return a model's predicted class names on the test images: str, shape (seeds, images)."""
        result = self.results[name]
        classes = result.record.classes
        names = classes if isinstance(classes, list) else self.prepared.class_names
        return np.asarray(names)[result.test_probabilities.argmax(axis=-1)]

    def right(self, name: str) -> pd.DataFrame:
        """Return which predictions on the test images are correct: bool, one row per seed, one column per image.

        Columns are positions in the test split, because way 1 may cover only some of the images.
        """
        truth = np.asarray(self.prepared.class_names)[self.prepared.part("test")[1]]
        result = self.results[name]
        asked = result.record.test_positions or range(len(truth))
        return pd.DataFrame(self.answers(name) == truth[asked], index=result.seeds.index, columns=asked)

    def _has_diverged(self, name: str) -> bool:
        seeds, probabilities = self.seeds(name), self.results[name].test_probabilities
        essential = seeds[[column for column in ESSENTIAL if column in seeds]]
        finite = np.isfinite(essential.to_numpy(dtype=float)).all()
        return not (finite and (probabilities is None or np.isfinite(probabilities).all()))
