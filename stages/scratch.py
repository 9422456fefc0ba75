"""scratch@VARIANT: train the notes' convolutional network from random weights.

reads   params.yaml (seeds, scratch, variants.VARIANT), data/prepared/
writes  models/scratch/VARIANT/ (the best seed's weights), results/scratch/VARIANT/, runs in MLflow
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.params.reading import load_params
from fitgap.params.schema import NO_CHOICE, Choice

PREPARED = Path("data/prepared")


def experiment(name: str, choice: Choice = NO_CHOICE) -> "lifecycle.Experiment":
    """Return the experiment of variant `name`: its network sees the images themselves."""
    from fitgap.training.experiment import build_experiment  # imports TensorFlow

    params, images = load_params(), read_prepared(PREPARED)
    return build_experiment(params, params.model("scratch", name, choice), images, images.images)


if __name__ == "__main__":
    lifecycle.train_stage(experiment, is_contestant=True)
