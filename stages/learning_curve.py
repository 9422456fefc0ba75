"""learning_curve@SIZE: train from scratch, on the frozen base and fine-tuned, with SIZE training images.

reads   params.yaml (seeds, data, scratch, head, finetune, learning_curve, variants.HEAD), data/prepared/,
        data/backbone/, data/features/, results/finetune/ (which depth is best at the usual size)
writes  results/learning_curve/SIZE/, a run in MLflow
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from fitgap import lifecycle
from fitgap.cluster.work import train_on_cluster
from fitgap.data.draws import count_drawn
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record, Result, not_applicable, read_result
from fitgap.definitions.determinism import start_tensorflow
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import Checkpoint, open_checkpoint
from fitgap.tracking.live import OnEpoch, open_live_run, show_nothing

if TYPE_CHECKING:
    from fitgap.training.learning_curve import ThreeWays

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
FINETUNED, RESULTS = Path("results/finetune"), Path("results/learning_curve")
LAST = "finetune-seed-{seed}"  # what a seed's training leaves last in the checkpoint


def main(size: str) -> None:
    """Train the three ways on the first SIZE images of each seed's draw; the usual size has stages of its own."""
    clock, params = lifecycle.Clock(), load_params()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    usual = count_drawn(images, params.data)["train"]
    smaller = params.with_train_images(int(size), usual)
    record = Record(
        stage="learning_curve",
        variant=size,
        params={**smaller.model("finetune", best_depth(params.finetune.depths)).recorded, "seeds": params.curve_seeds},
        inputs={"data": images.identity, "backbone": backbone.identity},
        measured={},
        classes=images.class_names,
    )
    if int(size) == usual:
        why = "data.train_images is this size, so the other stages have its models"
        empty = pd.DataFrame(columns=["train_images", "seed"])  # DVC expects a history
        lifecycle.finish(not_applicable(record, why, empty), clock, RESULTS / size)
        return
    with open_checkpoint(f"learning_curve@{size}") as checkpoint:
        with clock.working():
            train_on_cluster(
                f"learning_curve@{size}", params.compute.threads, params.curve_seeds, checkpoint, last=LAST
            )
        start_tensorflow(0, params.compute.threads)
        from fitgap.training.learning_curve import summarise

        with clock.working(), open_live_run(f"learning_curve@{size}") as live:
            results = train(size, params.curve_seeds, checkpoint, live.add_epoch)
        lifecycle.finish(summarise(record, smaller.data.train_images, results), clock, RESULTS / size)


def train(size: str, seeds: list[int], checkpoint: Checkpoint, on_epoch: OnEpoch = show_nothing) -> dict[str, Result]:
    """Train the three ways for these seeds, here or on a node of a cluster."""
    return three_ways(size, checkpoint.folder / "heads").train(seeds, checkpoint, on_epoch)


@cache
def three_ways(size: str, heads: Path) -> "ThreeWays":
    """Build the three ways once for all seeds: each compiles its network."""
    from fitgap.training.learning_curve import ThreeWays

    params, images = load_params(), read_prepared(PREPARED)
    smaller = params.with_train_images(int(size), count_drawn(images, params.data)["train"])
    return ThreeWays(smaller, best_depth(params.finetune.depths), images, read_backbone(BACKBONE), FEATURES, heads)


def best_depth(depths: list[str]) -> str:
    """Return the depth with the lowest mean validation loss at the usual size; test results are not used."""
    return min(depths, key=lambda depth: read_result(FINETUNED / depth).seeds["val_loss_best"].mean())


if __name__ == "__main__":
    lifecycle.run(main)
