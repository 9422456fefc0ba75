"""Register the best model in MLflow's registry; `models:/<name>@champion` loads it.

The registry's rows say nothing about files: a repository may have moved, and `mlflow gc` deletes models that are
registered. So a champion counts, and its address is shown, only if the store still has its files.

Losses on different images cannot be compared. So a registered model is named after the data's source and digest and the
number of validation images: these and a seed determine which images validate. A new model gets the alias only if it
beats the champion by more than the uncertainty.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from fitgap.data.record import Result
from fitgap.inference.estimates import MIN_SEEDS, estimate_over_seeds
from fitgap.tracking.models import find_model, is_stored
from fitgap.tracking.projection import FINGERPRINT
from fitgap.tracking.store import Store, StoreError, open_store, warn

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
RETRY = "`make sync` says why, and tries again"
LOSSES, MODEL = "fitgap.val_loss_best", "fitgap.model"  # tags of a version: seed -> loss as JSON; scratch@dropout
Losses = Mapping[int, float]  # seed -> lowest validation loss in nats


@dataclass(frozen=True)
class Registration:
    """The outcome of registering the best model."""

    name: str  # of the registered model
    version: str | None  # with the alias; None if there is none, or if its files were not found
    why: str  # one sentence: the champion and the reason; **names** are bold in Markdown

    @property
    def facts(self) -> dict[str, str]:
        """`why`, and if there is a champion, its `version` and the `address` for `mlflow.pyfunc.load_model`."""
        address = {"address": f"models:/{self.name}@{ALIAS}", "version": self.version} if self.version else {}
        return {"why": self.why, **address}


def register(result: Result, run_id: str | None) -> Registration:
    """Register the best model and set the alias, if the model beats the champion or there is no champion that loads.

    If the store fails, write one line to standard error.

    Parameters
    ----------
    result : result of the model with the lowest validation loss; its network is attached to its run
    run_id : its run; None if the store failed before
    """
    if run_id is not None:
        try:
            with open_store() as opened:
                return _settle(opened, _name(result), result, run_id)
        except StoreError as failure:
            warn(f"{result.name}: not in MLflow's registry", failure)
    why = f"No model was registered: the tracking store was not available; {RETRY}."
    return Registration(_name(result), None, why)


def _name(result: Result) -> str:
    data = result.record.inputs["data"]
    drawn = result.record.params.get("validation_images", "all")
    return f"fitgap-{data['name']}-{data['digest'][:8]}-{drawn}"


def _settle(opened: Store, name: str, result: Result, run_id: str) -> Registration:
    holder = _holder(opened, name)
    is_won, why = _judge(opened, result, holder)
    return _crown(opened, name, result, run_id, why) if is_won else Registration(name, str(holder.version), why)


def _judge(opened: Store, result: Result, holder: "ModelVersion | None") -> tuple[bool, str]:
    """Return whether a model takes the title from the champion, if there is one, and the reason."""
    if holder is None:
        return True, f"**{result.name}** is the champion: the first model on these images."
    called = f"version {holder.version}, {holder.tags.get(MODEL, 'of unknown origin')}"
    if not _has_files(opened, holder):
        return True, f"**{result.name}** is the champion, because the files of **{called}** are gone."
    if holder.tags.get(FINGERPRINT) == result.fingerprint:
        return False, f"**{result.name}** is already the champion."
    losses = {int(seed): loss for seed, loss in json.loads(holder.tags.get(LOSSES, "{}")).items()}
    return beats_champion(result.name, _losses(result), called, losses)


def _holder(opened: Store, name: str) -> "ModelVersion | None":
    models = opened.client.search_registered_models(f"name = '{name}'")
    aliases = models[0].aliases if models else {}
    return opened.client.get_model_version(name, aliases[ALIAS]) if ALIAS in aliases else None


def _has_files(opened: Store, version: "ModelVersion") -> bool:
    return is_stored(opened.client.get_model_version_download_uri(version.name, version.version))


def _losses(result: Result) -> dict[int, float]:
    return result.seeds["val_loss_best"].to_dict()


def _crown(opened: Store, name: str, result: Result, run_id: str, why: str) -> Registration:
    """Register the model of a run as a new version, with the alias."""
    model = find_model(opened, run_id)
    if model is None:
        why = f"No model was registered: the network of {result.name} is not in MLflow; {RETRY}."
        return Registration(name, None, why)
    if not opened.client.search_registered_models(f"name = '{name}'"):
        about = f"The best model by validation loss on {result.record.inputs['data']['name']}."
        opened.client.create_registered_model(name, description=about)
    tags = {FINGERPRINT: result.fingerprint, MODEL: result.name, LOSSES: json.dumps(_losses(result))}
    source = f"models:/{model.model_id}"
    made = opened.client.create_model_version(name, source, run_id, tags, model_id=model.model_id)
    opened.client.set_registered_model_alias(name, ALIAS, made.version)
    return Registration(name, str(made.version), why)


def beats_champion(candidate: str, losses: Losses, holder: str, holder_losses: Losses) -> tuple[bool, str]:
    """Return whether a candidate replaces the champion, and the reason.

    The differences of the lowest validation losses are paired by seed, on the same validation images. The
    candidate wins if their whole 95% interval is below 0. Test images are not used.

    Returns
    -------
    True if the candidate wins, and the reason in one sentence; **names** are bold in Markdown.
    """
    differences = (pd.Series(losses, dtype=float) - pd.Series(holder_losses, dtype=float)).dropna()
    estimate = estimate_over_seeds(differences)
    ahead = f"**{candidate}** now has the lowest validation loss of all models"
    if not estimate.is_enough:
        shared = f"they share {estimate.seeds} seeds, and the comparison needs {MIN_SEEDS} of them"
        return False, f"**{holder}** stays champion: {ahead}, but {shared}."
    low, high = estimate.interval()
    numbers = f"{estimate.value:+.3f} nats, 95% interval {low:+.3f} to {high:+.3f}, {estimate.seeds} seeds"
    if high < 0:
        return True, f"**{candidate}** replaces **{holder}** as champion: its validation loss is lower ({numbers})."
    return False, f"**{holder}** stays champion: {ahead}, but it is not clearly lower than the champion's ({numbers})."
