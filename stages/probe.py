"""probe: fit a linear classifier to the output of each of VGG16's blocks, on the target data.

reads   params.yaml (seeds, data), data/prepared/, data/backbone/
writes  results/probe/, a run in MLflow
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fitgap import lifecycle
from fitgap.backbone.storage import StoredBackbone, read_backbone
from fitgap.definitions.vgg16_layers import BLOCKS, POOLS
from fitgap.images.draws import draw_rows
from fitgap.images.prepared import PreparedImages, read_prepared
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.pipeline.record import Record, Result
from fitgap.system.determinism import start_tensorflow

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/probe")
MEASURED = ("test_accuracy", "val_accuracy")


def main() -> None:
    """Fit one probe per block and seed, from the first block to the last."""
    clock, params = lifecycle.Clock(), load_params()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    history, probabilities = fit_probes(params, images, backbone, clock)
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
    lifecycle.finish(Result(record, history, probabilities), clock, RESULT)


def fit_probes(
    params: Params, images: PreparedImages, backbone: StoredBackbone, clock: lifecycle.Clock
) -> tuple[pd.DataFrame, np.ndarray]:
    """Run VGG16 once over all images, then fit the probes.

    Returns
    -------
    history : one row per block (from 1) and seed
    probabilities : float32, (blocks, seeds, test images, classes)
    """
    start_tensorflow(seed=0)
    from fitgap.backbone import probes
    from fitgap.training.evaluation import Evaluator

    network, table, probabilities = probes.build_pooled_blocks(backbone.weights, images.about["image_size"]), [], []
    with clock.working():
        outputs = Evaluator(network).outputs(images.images)
        draws = {seed: draw_rows(images, params.data, seed) for seed in params.seeds}
        for block, columns in enumerate(probes.layer_columns(network).values(), start=1):
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
