"""Register the best model in MLflow's registry; `models:/<name>@champion` loads it.

The registry's rows say nothing about files: a repository may have moved, and `mlflow gc` deletes models that are
registered. So a champion counts, and its address is told, only if the store still has its files.

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
from fitgap.system.errors import UserError
from fitgap.tracking import models, store
from fitgap.tracking.failures import failures, redacted, warn
from fitgap.tracking.projection import FINGERPRINT

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
RETRY = "`make sync` says why, and tries again"
LOSSES, MODEL = "fitgap.val_loss_best", "fitgap.model"  # tags of a version: seed -> loss as JSON; scratch@dropout
_DIGITS = 8  # digits of the data's digest in the name


@dataclass(frozen=True)
class Registration:
    """The outcome of registering the best model.

    Attributes
    ----------
    name : str
        Name of the registered model.
    version : str or None
        Version with the alias; None if there is none, or if its files were not found.
    why : str
        One sentence: the champion and the reason. **Names** are bold in Markdown.
    """

    name: str
    version: str | None
    why: str

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
    name, away = _name(result), f"No model was registered: the tracking store was not available; {RETRY}."
    if run_id is None:
        return Registration(name, None, away)
    try:
        with store.open_store(models.UPLOAD_LIMITS) as opened:
            return _settle(opened, name, result, run_id)
    except failures() as failure:
        warn(f"{result.name}: not in MLflow's registry", failure)
        return Registration(name, None, away)


def find_champion(result: Result) -> Registration:
    """Look up the champion among the models that were validated on the same images as a result.

    Raises
    ------
    UserError
        If there is none, if its files are gone, or if the store does not answer.
    """
    name = _name(result)
    try:
        with store.open_store() as opened:
            holder = _holder(opened, name)
            is_stored = holder is not None and _is_stored(opened, holder)
    except UserError:
        raise
    except failures() as failure:
        reason = redacted(" ".join(str(failure).split()))[:200] or type(failure).__name__
        raise UserError(f"MLflow's store does not answer: {reason}; start it, or unset MLFLOW_TRACKING_URI") from None
    if not is_stored:
        gone = "`make sync` writes its files, which are gone" if holder else "`make repro` registers the best model"
        raise UserError(f"models:/{name}@{ALIAS}: no such model in MLflow's registry; {gone}")
    return Registration(name, str(holder.version), f"{holder.tags.get(MODEL, 'this model')} is the champion")


def _name(result: Result) -> str:
    data = result.record.inputs["data"]
    drawn = result.record.params.get("validation_images", "all")
    return f"fitgap-{data['name']}-{data['digest'][:_DIGITS]}-{drawn}"


def _settle(opened: store.Store, name: str, result: Result, run_id: str) -> Registration:
    holder = _holder(opened, name)
    if holder is None:
        why = f"**{result.name}** is the champion: the first model on these images."
        return _crown(opened, name, result, run_id, why)
    called = f"version {holder.version}, {holder.tags.get(MODEL, 'of unknown origin')}"
    if not _is_stored(opened, holder):
        why = f"**{result.name}** is the champion, because the files of **{called}** are gone."
        return _crown(opened, name, result, run_id, why)
    if holder.tags.get(FINGERPRINT) == result.fingerprint:
        return Registration(name, str(holder.version), f"**{result.name}** is already the champion.")
    losses = _losses_of(holder)
    if losses is None:
        why = f"**{called}** stays champion: its validation losses by seed are unknown, so there is no comparison."
        return Registration(name, str(holder.version), why)
    is_won, why = beats_champion(result.name, _losses(result), called, losses)
    return _crown(opened, name, result, run_id, why) if is_won else Registration(name, str(holder.version), why)


def _holder(opened: store.Store, name: str) -> "ModelVersion | None":
    found = opened.client.search_registered_models(f"name = '{name}'")
    aliases = found[0].aliases if found else {}
    return opened.client.get_model_version(name, aliases[ALIAS]) if ALIAS in aliases else None


def _is_stored(opened: store.Store, version: "ModelVersion") -> bool:
    opened.keep_time()
    return models.is_stored(opened, opened.client.get_model_version_download_uri(version.name, version.version))


def _losses(result: Result) -> dict[int, float]:
    return result.seeds["val_loss_best"].to_dict()


def _losses_of(version: "ModelVersion") -> dict[int, float] | None:
    try:
        return {int(seed): float(loss) for seed, loss in json.loads(version.tags[LOSSES]).items()}
    except (KeyError, ValueError, TypeError, AttributeError):
        return None  # a version that the user registered by hand


def _crown(opened: store.Store, name: str, result: Result, run_id: str, why: str) -> Registration:
    model = models.find_model(opened, run_id, is_thorough=True)
    if model is None:
        why = f"No model was registered: the network of {result.name} is not in MLflow; {RETRY}."
        return Registration(name, None, why)
    if not opened.client.search_registered_models(f"name = '{name}'"):
        about = f"The best model by validation loss on {result.record.inputs['data']['name']}."
        opened.client.create_registered_model(name, description=about)
    version = _version(opened, name, result) or _new_version(opened, name, result, run_id, model.model_id)
    opened.client.set_registered_model_alias(name, ALIAS, version)
    return Registration(name, version, why)


def _version(opened: store.Store, name: str, result: Result) -> str | None:
    """Return the first version registered for this result that is complete and has its files, if there is one."""
    versions = sorted(opened.client.search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version))
    same = [one for one in versions if one.tags.get(FINGERPRINT) == result.fingerprint]
    return next((str(one.version) for one in same if one.status == "READY" and _is_stored(opened, one)), None)


def _new_version(opened: store.Store, name: str, result: Result, run_id: str, model_id: str) -> str:
    tags = {
        FINGERPRINT: result.fingerprint,
        MODEL: result.name,
        LOSSES: json.dumps({str(seed): loss for seed, loss in _losses(result).items()}),
    }
    made = opened.client.create_model_version(name, f"models:/{model_id}", run_id, tags, model_id=model_id)
    # Another clone may have registered the same result meanwhile. Versions are numbered in order: the first one stays.
    first = _version(opened, name, result) or str(made.version)
    if first != str(made.version):
        opened.client.delete_model_version(name, str(made.version))
    return first


Losses = Mapping[int, float]  # seed -> lowest validation loss in nats


def beats_champion(candidate: str, losses: Losses, holder: str, holder_losses: Losses) -> tuple[bool, str]:
    """Return whether a candidate replaces the champion, and the reason.

    The differences of the lowest validation losses (nats) are paired by seed, on the same validation images. The
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
    said = f"{estimate.value:+.3f} nats, 95% interval {low:+.3f} to {high:+.3f}, {estimate.seeds} seeds"
    if high < 0:
        return True, f"**{candidate}** replaces **{holder}** as champion: its validation loss is lower ({said})."
    return False, f"**{holder}** stays champion: {ahead}, but it is not clearly lower than the champion's ({said})."
