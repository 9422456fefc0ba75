"""highrate@VARIANT: train scratch@VARIANT at a higher learning rate.

reads   params.yaml (seeds, scratch, highrate, variants.VARIANT), data/prepared/,
        results/scratch/VARIANT/record.json (its strengths)
writes  results/highrate/VARIANT/, runs in MLflow; no weights, because these models only test a statement
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.data.prepared import read_prepared
from fitgap.data.record import read_result
from fitgap.data.results import chosen_strengths
from fitgap.params.reading import load_params

PREPARED, SCRATCH = Path("data/prepared"), Path("results/scratch")


def experiment(name: str) -> "lifecycle.Experiment":
    """Return the experiment of variant `name` at the higher learning rate."""
    from fitgap.training.experiment import build_experiment  # imports TensorFlow

    params, images = load_params(), read_prepared(PREPARED)
    model = params.model("highrate", name, chosen_strengths(read_result(SCRATCH / name)))
    return build_experiment(params, model, images, images.images)


if __name__ == "__main__":
    lifecycle.train_stage(experiment)
