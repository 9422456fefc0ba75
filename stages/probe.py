"""probe: what a linear classifier can read off the output of each of VGG16's blocks, on the target data.

reads   data/prepared/, data/backbone/
leaves  results/probe/, a run in MLflow
"""

from pathlib import Path

import numpy as np
import pandas as pd

from fitgap import stage
from fitgap.backbone import stored
from fitgap.backbone.layers import BLOCKS, POOLS
from fitgap.determinism import start_tensorflow
from fitgap.images import prepared
from fitgap.images.prepared import SPLITS, PreparedImages
from fitgap.results import Result

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/probe")


def main() -> None:
    """Fit one probe per block, from the input to the output."""
    clock = stage.Clock()
    images, backbone = prepared.read(PREPARED), stored.read(BACKBONE)
    found = probed(images, backbone, clock)
    rows = [
        {"block": number, "columns": columns, "C": probe.strength, **probe.measured}
        for number, (columns, probe) in enumerate(found.values(), start=1)
    ]
    result = Result(
        {
            "stage": "probe",
            "variant": None,
            "params": {},
            "inputs": {"data": images.identity, "backbone": backbone.identity},
            "classes": images.class_names,
            "layers": list(POOLS),
            "measured": {
                f"{what}_{block}": row[what]
                for what in ("test_accuracy", "val_accuracy")
                for block, row in zip(BLOCKS, rows, strict=True)
            },
        },
        pd.DataFrame(rows),
        np.stack([probe.probabilities for _, probe in found.values()]),
    )
    stage.leave(result, RESULT, clock)


def probed(images: PreparedImages, backbone: stored.StoredBackbone, clock: stage.Clock) -> dict:
    """Run VGG16 once over all images; give each layer's number of columns and its probe."""
    start_tensorflow(seed=0)
    from fitgap.backbone import probes
    from fitgap.training.evaluation import Evaluator

    network, found = probes.pooled_blocks(backbone.weights, images.about["image_size"]), {}
    labels = {name: images.labels[images.rows[name]] for name in SPLITS}
    with clock.working():
        outputs = Evaluator(network).outputs(images.images)
        for layer, columns in probes.columns_of(network).items():
            features = {name: outputs[images.rows[name], columns] for name in SPLITS}
            found[layer] = columns.stop - columns.start, probes.fit(features, labels)
    return found


if __name__ == "__main__":
    stage.run(main)
