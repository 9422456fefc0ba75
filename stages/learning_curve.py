"""learning_curve@SIZE: train the best from scratch and the best that borrows with SIZE training images.

reads   params.yaml (seeds, data, learning_curve.repetitions, compute), results/choice/ (the two and their settings),
        data/prepared/, data/backbone/, data/features/
writes  results/learning_curve/SIZE/, a run in MLflow
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.data.record import read_result
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
CHOICE = Path("results/choice")


def experiment(size: str) -> "lifecycle.BothWays":
    """Return both ways on the first SIZE images of each seed's draw; the usual size has stages of its own."""
    from fitgap.training.learning_curve import BothWays  # imports TensorFlow

    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    return BothWays(load_params(), int(size), read_result(CHOICE).record, images, backbone, FEATURES)


if __name__ == "__main__":
    lifecycle.train_stage(experiment)
