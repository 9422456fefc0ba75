"""The trained networks a user would load, whole, attached to their runs.

Every scratch model is small and has one. Of each transfer family only the best does (lowest mean validation
loss): each holds the whole of VGG16, 59 MB.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from fitgap.params import Params
from fitgap.results import Result
from fitgap.tracking import models

ALL, BEST_ONLY = ("scratch",), ("head", "finetune")


def worth_loading(results: Iterable[Result]) -> list[Result]:
    """Choose the models to attach: all from scratch, the best of each transfer family."""
    trained = [result for result in results if result.record["stage"] in ALL + BEST_ONLY]
    best = {}
    for result in trained:
        stage, loss = result.record["stage"], result.metrics["val_loss_best"]
        if stage not in best or loss < best[stage].metrics["val_loss_best"]:
            best[stage] = result
    return [result for result in trained if result.record["stage"] in ALL or result is best[result.record["stage"]]]


def attach(
    results: Iterable[Result],
    run_ids: Mapping[str, str],
    params: Params,
    folder: Path,
    backbone: Path,
    images: np.ndarray,
) -> None:
    """Attach the best seed's network of each model worth loading to its run, unless the run has it.

    Parameters
    ----------
    run_ids : model name -> run id; models without a run are left out
    folder : models/
    backbone : the base's weights in Keras's notop format
    images : uint8, (n, size, size, 3); only the shape is read
    """
    for result in worth_loading(results):
        if result.name in run_ids:
            models.log_model(run_ids[result.name], lambda one=result: _network(one, params, folder, backbone), images)


def _network(result: Result, params: Params, folder: Path, backbone: Path):
    # TensorFlow takes seconds to import; where every run has its network, it is not needed.
    from fitgap.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.networks.assembly import Assembly

    record = result.record
    weights = folder / record["stage"] / record["variant"] / f"seed-{record['best_seed']}.weights.h5"
    return Assembly(params, len(record["classes"]), backbone).whole(record["stage"], record["variant"], weights)
