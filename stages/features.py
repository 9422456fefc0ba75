"""features: one pass of the frozen base over all images, every layer that a later stage needs.

reads   params.yaml (head.layer, finetune.depths, compute), data/prepared/, data/backbone/
leaves  data/features/, results/features/, a run in MLflow
"""

import shutil
from pathlib import Path

from fitgap import checkpoints, params, stage
from fitgap.backbone import stored
from fitgap.backbone.layers import batches_at_once
from fitgap.determinism import start_tensorflow
from fitgap.folders import fresh
from fitgap.images import prepared
from fitgap.results import Result

PREPARED, BACKBONE = Path("data/prepared"), Path("data/backbone")
FEATURES, RESULT = Path("data/features"), Path("results/features")


def main() -> None:
    """Cache the activations at the freeze points."""
    clock, chosen = stage.Clock(), params.load()
    start_tensorflow(0, batches_at_once(chosen.data.image_size))
    from fitgap.backbone import features

    images, backbone = prepared.read(PREPARED), stored.read(BACKBONE)
    files = features.files_needed(chosen.head.layer, chosen.finetune.depths)
    precision = chosen.compute.precision
    inputs = {"data": images.identity, "backbone": backbone.identity}
    with checkpoints.of_stage("features") as kept, fresh(FEATURES) as folder, clock.working():
        shapes, rows = features.extract(images.images, backbone.weights, files, kept.folder, precision)
        for name in files:
            shutil.move(kept.folder / f"{name}.npy", folder)
        features.write_about(folder, {"files": files, "shapes": shapes, **inputs})
    result = Result(
        {
            "stage": "features",
            "variant": None,
            "params": {
                "head.layer": chosen.head.layer,
                "finetune.depths": chosen.finetune.depths,
                "compute.precision": precision,
            },
            "inputs": inputs,
            "measured": {"images": len(images.labels), "files": len(shapes)},
        }
    )
    stage.leave(result, RESULT, clock, images_per_second=rows / clock.work_seconds)


if __name__ == "__main__":
    stage.run(main)
