"""scratch@VARIANT: train the notes' convolutional network from random weights.

reads   params.yaml (seeds, scratch, variants.VARIANT), data/prepared/
writes  models/scratch/VARIANT/ (the best seed's weights), results/scratch/VARIANT/, runs in MLflow
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.params.reading import load_params

PREPARED = Path("data/prepared")


def experiment(name: str) -> "lifecycle.Experiment":
    """Return the experiment of variant `name`: its network sees the images themselves."""
    from fitgap.training.experiment import build_experiment  # imports TensorFlow

    params, images = load_params(), read_prepared(PREPARED)
    return build_experiment(params, params.model("scratch", name), images, images.images)


if __name__ == "__main__":
    lifecycle.train_stage(experiment, weights="best seed")
