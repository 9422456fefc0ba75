"""learning_curve@SIZE: train from scratch, on the frozen base and fine-tuned, with SIZE training images.

reads   params.yaml (seeds, data, scratch, head, finetune, learning_curve, variants.HEAD), data/prepared/,
        data/backbone/, data/features/, results/finetune/ (which depth is best at the usual size)
writes  results/learning_curve/SIZE/, a run in MLflow
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.data.record import read_result
from fitgap.data.results import best
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
FINETUNED = Path("results/finetune")


def experiment(size: str) -> "lifecycle.ThreeWays":
    """Return the three ways on the first SIZE images of each seed's draw; the usual size has stages of its own."""
    from fitgap.training.learning_curve import ThreeWays  # imports TensorFlow

    params, images, backbone = load_params(), read_prepared(PREPARED), read_backbone(BACKBONE)
    return ThreeWays(params, int(size), best_depth(params.finetune.depths), images, backbone, FEATURES)


def best_depth(depths: list[str]) -> str:
    """Return the best depth at the usual size; if fine-tuning diverged at every depth, the first."""
    chosen = best(read_result(FINETUNED / depth) for depth in depths)
    return chosen.record.variant if chosen else depths[0]


if __name__ == "__main__":
    lifecycle.train_stage(experiment)
