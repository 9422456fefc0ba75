"""probe: fit a linear classifier to the output of each of VGG16's blocks, on the target data.

reads   data/prepared/, data/backbone/
writes  results/probe/, a run in MLflow
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fitgap import lifecycle
from fitgap.backbone.storage import StoredBackbone, read_backbone
from fitgap.definitions.vgg16_layers import BLOCKS, POOLS
from fitgap.images.prepared import SPLITS, PreparedImages, read_prepared
from fitgap.pipeline.record import Record, Result
from fitgap.system.determinism import start_tensorflow

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/probe")
MEASURED = ("test_accuracy", "val_accuracy")


def main() -> None:
    """Fit one probe per block, from the first block to the last."""
    clock = lifecycle.Clock()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    found = fit_probes(images, backbone, clock)
    rows = [
        {"block": number, "columns": columns, "C": probe.strength, **probe.measured}
        for number, (columns, probe) in enumerate(found.values(), start=1)
    ]
    record = Record(
        stage="probe",
        variant=None,
        params={},
        inputs={"data": images.identity, "backbone": backbone.identity},
        measured={f"{what}_{block}": row[what] for what in MEASURED for block, row in zip(BLOCKS, rows, strict=True)},
        classes=images.class_names,
        layers=list(POOLS),
    )
    probabilities = np.stack([probe.probabilities for _, probe in found.values()])
    lifecycle.finish(Result(record, pd.DataFrame(rows), probabilities), clock, RESULT)


def fit_probes(images: PreparedImages, backbone: StoredBackbone, clock: lifecycle.Clock) -> dict:
    """Run VGG16 once over all images; return layer -> (number of feature columns, probe)."""
    start_tensorflow(seed=0)
    from fitgap.backbone import probes
    from fitgap.training.evaluation import Evaluator

    network, found = probes.build_pooled_blocks(backbone.weights, images.about["image_size"]), {}
    labels = {name: images.labels[images.rows[name]] for name in SPLITS}
    with clock.working():
        outputs = Evaluator(network).outputs(images.images)
        for layer, columns in probes.layer_columns(network).items():
            features = {name: outputs[images.rows[name], columns] for name in SPLITS}
            found[layer] = columns.stop - columns.start, probes.fit_probe(features, labels)
    return found


if __name__ == "__main__":
    lifecycle.run(main)
