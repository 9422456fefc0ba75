"""highrate@VARIANT: train scratch@VARIANT at a higher learning rate.

reads   params.yaml (seeds, scratch, highrate, variants.VARIANT), data/prepared/
writes  results/highrate/VARIANT/, runs in MLflow; no weights, because these models only test a statement
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.params.reading import load_params

PREPARED = Path("data/prepared")


def experiment(name: str) -> "lifecycle.Experiment":
    """Return the experiment of variant `name` at the higher learning rate."""
    from fitgap.training.experiment import build_experiment  # imports TensorFlow

    params, images = load_params(), read_prepared(PREPARED)
    return build_experiment(params, params.model("highrate", name), images, images.images)


if __name__ == "__main__":
    lifecycle.train_stage(experiment)
