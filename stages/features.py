"""features: run the frozen base once over all images and cache the layers that later stages need.

reads   params.yaml (head.layer, finetune.depths, compute), data/prepared/, data/backbone/
writes  data/features/, results/features/, a run in MLflow
"""

import shutil
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap import lifecycle
from fitgap.cluster.work import Cluster, is_wanted
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
Activations = dict[str, np.ndarray]  # layer -> float32, (images, ...)


def main() -> None:
    """Cache the activations at the freeze points."""
    clock, params = lifecycle.Clock(), load_params()
    start_tensorflow(0)
    from fitgap.backbone.features import extract_features, feature_files, write_feature_info

    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    files, precision = feature_files(params.head.layer, params.finetune.depths), params.compute.precision
    inputs = {"data": images.identity, "backbone": backbone.identity}
    cluster = Cluster("features", threads=1) if is_wanted() else None

    def passes(starts: Sequence[int]) -> Iterable[tuple[int, Activations]]:
        return cluster.map("stages.features:run", starts) if cluster else base().passes(images.images, starts)

    with open_checkpoint("features") as checkpoint, fresh_folder(FEATURES) as folder, clock.working():
        shapes, rows = extract_features(images.images, files, checkpoint, passes)
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
    rates = {"images_per_second": rows / clock.work_seconds}
    lifecycle.finish(Result(record), clock, RESULT, rates=rates, processors=cluster.processors if cluster else ())


def run(start: int) -> Activations:
    """Return the activations of the batch of images that begins with row `start`: the task of a node."""
    from fitgap.backbone.features import read_batch

    return base().activations(read_batch(read_prepared(PREPARED).images, start))


@cache
def base() -> "FrozenBase":
    """Compile the frozen base once for all batches."""
    from fitgap.backbone.features import FrozenBase, feature_files

    params = load_params()
    layers = set(feature_files(params.head.layer, params.finetune.depths).values())
    return FrozenBase(read_backbone(BACKBONE).weights, params.data.image_size, layers, params.compute.precision)


if __name__ == "__main__":
    lifecycle.run(main)
