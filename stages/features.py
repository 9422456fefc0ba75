"""features: run the frozen base once over all images and cache the layers that later stages need.

reads   params.yaml (features, finetune.depths, compute), data/prepared/, data/backbone/
writes  data/features/, results/features/, a run in MLflow
"""

import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap import lifecycle
from fitgap.cluster.work import Batches
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record, Result
from fitgap.definitions.determinism import start_tensorflow
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import open_checkpoint
from fitgap.system.files import fresh_folder

if TYPE_CHECKING:
    from fitgap.backbone.features import FrozenBase

PREPARED, BACKBONE = Path("data/prepared"), Path("data/backbone")
FEATURES, RESULT = Path("data/features"), Path("results/features")


def main() -> None:
    """Cache the activations at the freeze points."""
    clock, params = lifecycle.Clock(), load_params()
    start_tensorflow(seed=0)
    from fitgap.backbone.features import extract_features, feature_files, write_feature_info

    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    files = feature_files(params.features.layers, params.finetune.depths)
    inputs, batches = {"data": images.identity, "backbone": backbone.identity}, Batches("features", run)
    with open_checkpoint("features") as checkpoint, fresh_folder(FEATURES) as folder, clock.working():
        shapes, rows = extract_features(images.images, files, checkpoint, batches.map)
        (folder / "cells").mkdir()
        for name, layer in files.items():
            shutil.move(checkpoint.folder / f"{name}.npy", folder / "cells" if name == layer else folder)
        write_feature_info(folder, {"files": files, "shapes": shapes, **inputs})
    record = Record(
        stage="features",
        variant=None,
        params={
            "features.layers": params.features.layers,
            "finetune.depths": params.finetune.depths,
            "compute.precision": params.compute.precision,
        },
        inputs=inputs,
        measured={"images": len(images.labels), "files": len(shapes)},
    )
    rates = {"images_per_second": rows / clock.work_seconds}
    lifecycle.finish(Result(record), clock, RESULT, rates=rates, processors=batches.processors)


def run(start: int) -> dict[str, np.ndarray]:
    """Return the activations, by file, of the batch of images that begins with row `start`: the task of a node."""
    return base().activations_from(read_prepared(PREPARED).images, start)


@cache
def base() -> "FrozenBase":
    """Compile the frozen base once for all batches."""
    from fitgap.backbone.features import FrozenBase, feature_files

    params = load_params()
    files = feature_files(params.features.layers, params.finetune.depths)
    return FrozenBase(read_backbone(BACKBONE).weights, params.data.image_size, files, params.compute.precision)


if __name__ == "__main__":
    lifecycle.run(main)
