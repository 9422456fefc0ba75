"""features: run the frozen base once over all images and cache the layers that later stages need.

reads   params.yaml (head.layer, finetune.depths, compute), data/prepared/, data/backbone/
writes  data/features/, results/features/, a run in MLflow
"""

import shutil
from pathlib import Path

from fitgap import lifecycle
from fitgap.backbone.storage import read_backbone
from fitgap.definitions.vgg16_layers import batches_at_once
from fitgap.images.prepared import read_prepared
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import open_checkpoint
from fitgap.pipeline.record import Record, Result
from fitgap.system.determinism import start_tensorflow, threads_for
from fitgap.system.files import fresh_folder

PREPARED, BACKBONE = Path("data/prepared"), Path("data/backbone")
FEATURES, RESULT = Path("data/features"), Path("results/features")


def main() -> None:
    """Cache the activations at the freeze points."""
    clock, params = lifecycle.Clock(), load_params()
    start_tensorflow(0, threads_for(batches_at_once(params.data.image_size)))
    from fitgap.backbone.features import extract_features, feature_files, write_feature_info

    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    files, precision = feature_files(params.head.layer, params.finetune.depths), params.compute.precision
    inputs = {"data": images.identity, "backbone": backbone.identity}
    with open_checkpoint("features") as checkpoint, fresh_folder(FEATURES) as folder, clock.working():
        shapes, rows = extract_features(images.images, backbone.weights, files, checkpoint, precision)
        for name in files:
            shutil.move(checkpoint.folder / f"{name}.npy", folder)
        write_feature_info(folder, {"files": files, "shapes": shapes, **inputs})
    record = Record(
        stage="features",
        variant=None,
        params={
            "head.layer": params.head.layer,
            "finetune.depths": params.finetune.depths,
            "compute.precision": precision,
        },
        inputs=inputs,
        measured={"images": len(images.labels), "files": len(shapes)},
    )
    lifecycle.finish(Result(record), clock, RESULT, rates={"images_per_second": rows / clock.work_seconds})


if __name__ == "__main__":
    lifecycle.run(main)
