"""learning_curve@SIZE: train from scratch, on the frozen base and fine-tuned, with SIZE training images.

reads   params.yaml (seeds, data, scratch, head, finetune, learning_curve, variants.HEAD), data/prepared/,
        data/backbone/, data/features/, results/finetune/ (which depth is best at the usual size)
writes  results/learning_curve/SIZE/, a run in MLflow
"""

from pathlib import Path

import pandas as pd

from fitgap import lifecycle
from fitgap.backbone.storage import read_backbone
from fitgap.images.draws import count_drawn
from fitgap.images.prepared import read_prepared
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import open_checkpoint
from fitgap.pipeline.record import Record, not_applicable, read_result
from fitgap.system.determinism import start_tensorflow

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
FINETUNED, RESULTS = Path("results/finetune"), Path("results/learning_curve")


def main(size: str) -> None:
    """Train the three ways on the first SIZE images of each seed's draw; the usual size has stages of its own."""
    clock, params = lifecycle.Clock(), load_params()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    usual = count_drawn(images, params.data)["train"]
    smaller = params.with_train_images(int(size), usual)
    depth = best_depth(params.finetune.depths)
    record = Record(
        stage="learning_curve",
        variant=size,
        params={**smaller.model("finetune", depth).recorded, "seeds": params.curve_seeds},
        inputs={"data": images.identity, "backbone": backbone.identity},
        measured={},
        classes=images.class_names,
    )
    if int(size) == usual:
        why = "data.train_images is this size, so the other stages have its models"
        empty = pd.DataFrame(columns=["train_images", "seed"])  # DVC expects a history
        lifecycle.finish(not_applicable(record, why, empty), clock, RESULTS / size)
        return
    start_tensorflow(0, params.compute.threads)
    from fitgap.training.learning_curve import measure_size

    with open_checkpoint(f"learning_curve@{size}") as checkpoint:
        with clock.working():
            result = measure_size(record, smaller, depth, images, backbone, FEATURES, checkpoint)
        lifecycle.finish(result, clock, RESULTS / size)


def best_depth(depths: list[str]) -> str:
    """Return the depth with the lowest mean validation loss at the usual size; test results are not used."""
    return min(depths, key=lambda depth: read_result(FINETUNED / depth).seeds["val_loss_best"].mean())


if __name__ == "__main__":
    lifecycle.run(main)
