"""Which models params.yaml asks for, which of them diverged, and which is the best: one rule for all who ask.

Stages, claims, the report, MLflow's registry, predict and serve choose a model by `best`.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fitgap.data.record import Result
from fitgap.definitions.families import FAMILIES
from fitgap.params.schema import Params

WAYS = {"scratch": ("scratch",), "borrowed": ("head", "finetune")}  # ways to a classifier -> families
ESSENTIAL = ("train_loss_last", "val_loss_best", "val_loss_last")  # if one is not finite, the model diverged


def declared_models(params: Params) -> list[str]:
    """Return the names of the models declared in params, in the order of the report."""
    varied = [name for name, obstacle in params.obstacles.items() if not obstacle]
    return [*varied, *(f"finetune@{depth}" for depth in params.finetune.depths), "asis"]


def has_diverged(result: Result) -> bool:
    """Return whether a seed of a model diverged: an essential loss or a probability is not finite."""
    losses = result.seeds.filter(ESSENTIAL).to_numpy(dtype=float) if result.is_model else np.empty(0)
    answers = result.test_probabilities
    return not (np.isfinite(losses).all() and (answers is None or np.isfinite(answers).all()))


def best(results: Iterable[Result]) -> Result | None:
    """Return the model with the highest validation accuracy, mean over its seeds; of equals that with the lowest loss.

    Accuracy, because that is what models are compared by: by loss, label smoothing would lose to less accurate models.
    A model with a diverged seed is left out, because a mean over the other seeds would overrate it. Models that only
    test a statement (`Family.is_offered`) are left out too. Test results are not used. None without any model.
    """
    offered = [result for result in results if result.is_model and FAMILIES[result.record.stage].is_offered]
    trained = [result for result in offered if "val_loss_best" in result.seeds and not has_diverged(result)]
    return max(trained, key=_validated, default=None)


def _validated(result: Result) -> tuple[float, float]:
    accuracy, loss = (result.seeds[name].astype(float).mean() for name in ("val_accuracy_best", "val_loss_best"))
    return accuracy, -loss


def chosen_strengths(result: Result) -> dict[str, Any]:
    """Return what trials chose for a model, without its learning rate, which is not that of models made from it."""
    return {key: value for key, value in (result.record.choice or {}).items() if key != "learning_rate"}


def best_of_both(results: Iterable[Result]) -> dict[str, Result]:
    """Return the best model from scratch and the best that borrows VGG16, by WAYS; a way without a best is left out."""
    results = list(results)
    chosen = {way: best(result for result in results if result.record.stage in WAYS[way]) for way in WAYS}
    return {way: result for way, result in chosen.items() if result is not None}


def weights_file(seed: int) -> str:
    """Return the file name of one seed's trained weights in a folder of models/, in Keras's format."""
    return f"seed-{seed}.weights.h5"


def copy_model(result: Result | None, models: Path, folder: Path) -> None:
    """Write the measurements of a model and the weights of its best seed, from models/; nothing without a model."""
    if result is None:
        return
    result.write(folder)
    record = result.record
    weights = models / record.stage / record.variant / weights_file(record.best_seed)
    if weights.exists():  # not where only results were pulled
        shutil.copyfile(weights, folder / weights.name)
