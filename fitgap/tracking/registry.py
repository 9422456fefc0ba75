"""Register the best model in MLflow's registry; `models:/<name>@champion` loads it.

The champion is the best model of the last report, by the rule for all who ask (`fitgap.data.results.best`). A version
is made only if the model is not the champion already.

The registry's rows say nothing about files: a repository may have moved, and `mlflow gc` deletes models that are
registered. So a champion counts, and its address is shown, only if the store still has its files.

Losses on different images cannot be compared. So a registered model is named after the data's source and digest and the
number of validation images: these and a seed determine which images validate.
"""

from fitgap.data.record import Result
from fitgap.tracking.models import find_model, is_stored
from fitgap.tracking.projection import FINGERPRINT
from fitgap.tracking.store import Store, StoreError, open_store, warn

ALIAS, MODEL = "champion", "fitgap.model"  # MODEL is a tag of a version, such as scratch@dropout


def register(result: Result, run_id: str | None) -> dict[str, str]:
    """Give the best model the alias, in a new version unless it has the alias already.

    Return `why`, a sentence on the outcome in which **names** are bold in Markdown; and if the model is registered, its
    `version` and the `address` for `mlflow.pyfunc.load_model`. If the store fails, write one line to standard error.

    Parameters
    ----------
    result : result of the model with the highest validation accuracy; its network is attached to its run
    run_id : its run; None if the store failed before
    """
    name, version = _name(result), None
    try:
        if run_id is not None:
            with open_store() as opened:
                version = _standing(opened, name, result) or _crown(opened, name, result, run_id)
    except StoreError as failure:
        if not failure.is_old_server:  # which has been said
            warn(f"{result.name}: not in MLflow's registry", failure)
    if version is None:
        why = f"No model was registered: {result.name} is not in MLflow; `make sync` says why, and tries again."
        return {"why": why}
    why = f"**{result.name}** is the champion."
    return {"why": why, "address": f"models:/{name}@{ALIAS}", "version": str(version)}


def _name(result: Result) -> str:
    data = result.record.inputs["data"]
    drawn = result.record.params.get("validation_images", "all")
    return f"fitgap-{data['name']}-{data['digest'][:8]}-{drawn}"


def _standing(opened: Store, name: str, result: Result) -> str | None:
    """Return the champion's version if the champion is this model and has its files."""
    models = opened.client.search_registered_models(f"name = '{name}'")
    version = models[0].aliases.get(ALIAS) if models else None
    if version is None or opened.client.get_model_version(name, version).tags.get(FINGERPRINT) != result.fingerprint:
        return None
    return version if is_stored(opened.client.get_model_version_download_uri(name, version)) else None


def _crown(opened: Store, name: str, result: Result, run_id: str) -> str | None:
    """Register the model of a run as a new version with the alias; None if the run has no model."""
    model = find_model(opened, run_id)
    if model is None:
        return None
    if not opened.client.search_registered_models(f"name = '{name}'"):
        about = f"The best model by validation accuracy on {result.record.inputs['data']['name']}."
        opened.client.create_registered_model(name, description=about)
    own = result.seeds.loc[result.record.best_seed]
    tags, source = {FINGERPRINT: result.fingerprint, MODEL: result.name}, f"models:/{model.model_id}"
    names = {"val_accuracy_best": "validation", "test_accuracy": "test"}
    shares = " and ".join(f"{own[name]:.1%} of its {split} images" for name, split in names.items())
    mean = f"mean test accuracy of {len(result.seeds)} seeds: {result.seeds['test_accuracy'].mean():.1%}"
    about = f"{result.name}, seed {result.record.best_seed}: right on {shares} ({mean})."
    made = opened.client.create_model_version(name, source, run_id, tags, description=about, model_id=model.model_id)
    opened.client.set_registered_model_alias(name, ALIAS, made.version)
    return made.version
