"""probe: fit a linear classifier to the output of each of VGG16's blocks, on the target data.

reads   params.yaml (seeds, data), data/prepared/, data/backbone/
writes  results/probe/, a run in MLflow
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fitgap import lifecycle
from fitgap.cluster.work import compute_outputs
from fitgap.data.draws import draw_rows
from fitgap.data.prepared import PreparedImages, read_prepared
from fitgap.data.record import Record, Result
from fitgap.definitions.determinism import start_tensorflow
from fitgap.definitions.vgg16_layers import BLOCKS, POOLS
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params
from fitgap.params.schema import Params

if TYPE_CHECKING:
    from fitgap.networks.evaluation import Evaluator

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/probe")
MEASURED = ("test_accuracy", "val_accuracy")


def main() -> None:
    """Fit one probe per block and seed, from the first block to the last."""
    clock, params = lifecycle.Clock(), load_params()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    start_tensorflow(seed=0)
    with clock.working():
        outputs, processors = compute_outputs("probe", pooled_blocks(), images.images)
        history, probabilities = fit_probes(params, images, outputs)
    means = history.groupby("block")[list(MEASURED)].mean().set_axis(BLOCKS)
    record = Record(
        stage="probe",
        variant=None,
        params={"seeds": params.seeds, **params.data.drawn},
        inputs={"data": images.identity, "backbone": backbone.identity},
        measured={f"{what}_{block}": float(means.loc[block, what]) for what in MEASURED for block in BLOCKS},
        classes=images.class_names,
        layers=list(POOLS),
    )
    lifecycle.finish(Result(record, history, probabilities), clock, RESULT, processors=processors)


def run(start: int) -> np.ndarray:
    """Return the outputs of all blocks for the batch of images that begins with row `start`: the task of a node."""
    return pooled_blocks().outputs(read_prepared(PREPARED).images[start : start + pooled_blocks().batch_size])


@cache
def pooled_blocks() -> "Evaluator":
    """Build VGG16 with the pooled outputs of all blocks once for all batches."""
    from fitgap.backbone.probes import build_pooled_blocks
    from fitgap.networks.evaluation import Evaluator

    return Evaluator(build_pooled_blocks(read_backbone(BACKBONE).weights, load_params().data.image_size))


def fit_probes(params: Params, images: PreparedImages, outputs: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Fit the probes on the outputs of all blocks, float32 (images, columns).

    Returns
    -------
    history : one row per block (from 1) and seed
    probabilities : float32, (blocks, seeds, test images, classes)
    """
    from fitgap.backbone import probes

    table, probabilities = [], []
    draws = {seed: draw_rows(images, params.data, seed) for seed in params.seeds}
    for block, columns in enumerate(probes.layer_columns(pooled_blocks().network).values(), start=1):
        found = {seed: probes.fit_probe(outputs[:, columns], images.labels, rows) for seed, rows in draws.items()}
        probabilities.append(np.stack([probe.probabilities for probe in found.values()]))
        width = columns.stop - columns.start
        table += [
            {"block": block, "seed": seed, "columns": width, "C": probe.strength, **probe.measured}
            for seed, probe in found.items()
        ]
    return pd.DataFrame(table), np.stack(probabilities)


if __name__ == "__main__":
    lifecycle.run(main)
