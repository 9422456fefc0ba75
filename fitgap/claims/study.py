"""What claims and the report read: params, results by model, prepared images and wall times."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from fitgap.claims.choices import AS_STATED, Choice, as_trials
from fitgap.data.draws import count_drawn, drawn_splits
from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Result
from fitgap.data.results import best, best_of_both, declared_models, has_diverged
from fitgap.definitions.families import family_of
from fitgap.inference.estimates import Estimate, Proportion, estimate_over_seeds_and_images
from fitgap.params.schema import Params

PROBE, CURVE = "probe", "learning_curve"
LEARNED = {"glyphs": "printed characters", "imagenet": "ImageNet", "path": "your own file"}


@dataclass(frozen=True)
class Study:
    """Results of the models declared in params; results of deleted variants are left out."""

    params: Params
    results: dict[str, Result]  # model name -> result, in the order of `declared_models`
    prepared: PreparedImages
    times: dict[str, dict[str, Any] | None]  # model name -> wall times from `fitgap.pipeline.timings.load`
    probe: Result | None = None  # of the linear probes on the blocks of the backbone
    curve: dict[int, Result] = field(default_factory=dict)  # size of the training set, ascending, not the usual one
    choice: Choice = AS_STATED  # how `results` were measured and are judged
    as_stated: "Study | None" = None  # the study that this one is another choice of

    @classmethod
    def gather(cls, params: Params, results: list[Result], prepared: PreparedImages, times=None) -> "Study":
        """Build a study: sort `results` into declared models, the probe and the learning curve; ignore others.

        `times` maps model names to wall times; None if there are none.
        """
        by_name = {result.name: result for result in results}
        models = {name: by_name[name] for name in declared_models(params) if name in by_name}
        points = [(size, by_name.get(f"{CURVE}@{size}")) for size in sorted(params.learning_curve.sizes)]
        curve = {size: point for size, point in points if point is not None and point.record.ways}
        return cls(params, models, prepared, times or {}, by_name.get(PROBE), curve)

    def under(self, choice: Choice, moved: tuple[str, ...] = ()) -> "Study":
        """Return this study under another choice; `moved` are the models that a choice of a strength changes."""
        key = (choice, moved if choice.step else ())
        if key not in self._changed:
            results = self.results
            if choice.moment:
                results = {name: result.at(choice.moment) for name, result in results.items()}
            if choice.step:
                results = as_trials(results, choice.step, moved)
            self._changed[key] = replace(self, results=results, choice=choice, as_stated=self)
        return self._changed[key]

    @cached_property
    def _changed(self) -> dict[tuple[Choice, tuple[str, ...]], "Study"]:
        """The studies that `under` has returned."""
        return {}

    def over_images(self, values: np.ndarray) -> Estimate:
        """Estimate a mean over seeds and test images; all estimates of answers on the test images come from here."""
        estimate = estimate_over_seeds_and_images(values)
        return estimate if self.choice.over_images else replace(estimate, image_variance=0.0)

    def paired_difference(self, values: pd.DataFrame, others: pd.DataFrame) -> Estimate:
        """Estimate the mean of `values` - `others` over the seeds (rows) and test images (columns) that both have."""
        seeds, images = values.index.intersection(others.index), values.columns.intersection(others.columns)
        return self.over_images((values - others).loc[seeds, images].to_numpy())

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
        return any(times.get("stages_at_once", 1) > 1 for times in self.times.values() if times)

    @property
    def missing(self) -> list[str]:
        """Declared models without a result."""
        return [name for name in declared_models(self.params) if name not in self.results]

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
        result = self.results[name]
        return result.seeds.astype(float) if result.is_model else pd.DataFrame()

    def history(self, name: str) -> pd.DataFrame | None:
        """Return a model's training history with infinities replaced by NaN; None if it has no history."""
        history = self.results[name].history
        return None if history is None else history.replace([np.inf, -np.inf], np.nan)

    @cached_property
    def failed(self) -> tuple[str, ...]:
        """Models with a diverged seed."""
        return tuple(name for name, result in self.results.items() if has_diverged(result))

    @cached_property
    def best(self) -> str | None:
        """Name of the best model (`fitgap.data.results.best`); None if there is none."""
        chosen = best(self.results.values())
        return chosen and chosen.name

    @cached_property
    def is_guessing(self) -> bool:
        """Whether the best model is not clearly better than to always name the test images' most frequent class."""
        if self.best not in self.right:
            return False
        low, _ = estimate_accuracy(self.right[self.best].to_numpy()).interval()
        return low <= np.bincount(labels := self.prepared.part("test")[1]).max() / len(labels)

    @cached_property
    def contestants(self) -> dict[str, str]:
        """The best model from scratch and the best that borrows: way -> name, as the stage `choice` has them."""
        return {way: result.name for way, result in best_of_both(self.results.values()).items()}

    def has_answers(self, name: str) -> bool:
        """Whether a model has predictions on the test images."""
        result = self.results[name]
        return result.is_model and result.test_probabilities is not None

    @cached_property
    def right(self) -> dict[str, pd.DataFrame]:
        """Model -> which predictions on the test images are correct: bool, one row per seed, one column per image.

        Columns are positions in the test split, because way 1 may cover only some of the images.
        """
        truth = np.asarray(self.prepared.class_names)[self.prepared.part("test")[1]]
        right = {}
        for name in filter(self.has_answers, self.results):
            result = self.results[name]
            answers = np.asarray(result.record.classes)[result.test_probabilities.argmax(axis=-1)]
            positions = result.record.test_positions or range(len(truth))
            right[name] = pd.DataFrame(answers == truth[positions], index=result.seeds.index, columns=positions)
        return right


def estimate_accuracy(right: np.ndarray) -> Estimate | Proportion:
    """Estimate an accuracy over seeds and test images, from which answers are right: bool, (seeds, images)."""
    return Proportion(right.mean(), right.shape[1]) if len(right) == 1 else estimate_over_seeds_and_images(right)
