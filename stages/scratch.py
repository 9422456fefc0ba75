"""scratch@VARIANT: the notes' convolutional network, trained from random weights.

reads   params.yaml (seeds, scratch, variants.VARIANT), data/prepared/
leaves  models/scratch/VARIANT/ (the best seed's weights), results/scratch/VARIANT/, runs in MLflow
"""

from functools import partial
from pathlib import Path

from fitgap import checkpoints, params, stage
from fitgap.determinism import start_tensorflow
from fitgap.images import prepared
from fitgap.tracking import models, runs

PREPARED, MODELS, RESULTS = Path("data/prepared"), Path("models/scratch"), Path("results/scratch")


def main(variant: str) -> None:
    """Train one network per seed with the remedies of `variant`."""
    clock, chosen = stage.Clock(), params.load()
    chosen.variant(variant)
    start_tensorflow(seed=0)
    from fitgap.networks import remedied
    from fitgap.training import experiment
    from fitgap.training.from_scratch import from_scratch

    images, size = prepared.read(PREPARED), chosen.data.image_size
    with checkpoints.of_stage(f"scratch@{variant}") as kept:
        with clock.working():
            outcome = experiment.run(from_scratch(chosen, images, "scratch", variant), chosen.seeds, kept)
        outcome.leave(MODELS / variant, RESULTS / variant, [outcome.best_seed], clock.spent)
    run = runs.log(outcome.result)
    whole = partial(remedied.whole, outcome.network_of(outcome.best_seed), size)
    models.log_model(run, whole, images.images[:1])


if __name__ == "__main__":
    stage.run(main)
