"""highrate@VARIANT: scratch@VARIANT once more, at a learning rate that is too high for comfort.

reads   params.yaml (seeds, scratch, highrate, variants.VARIANT), data/prepared/
leaves  results/highrate/VARIANT/, runs in MLflow; no weights: it asks a question and offers no model
"""

from pathlib import Path

from fitgap import checkpoints, params, stage
from fitgap.determinism import start_tensorflow
from fitgap.images import prepared
from fitgap.tracking import runs

PREPARED, RESULTS = Path("data/prepared"), Path("results/highrate")


def main(variant: str) -> None:
    """Train one network per seed with the remedies of `variant`, at the higher rate."""
    clock, chosen = stage.Clock(), params.load()
    chosen.variant(variant)
    start_tensorflow(seed=0)
    from fitgap.training import experiment
    from fitgap.training.from_scratch import from_scratch

    images = prepared.read(PREPARED)
    with checkpoints.of_stage(f"highrate@{variant}") as kept:
        with clock.working():
            outcome = experiment.run(from_scratch(chosen, images, "highrate", variant), chosen.seeds, kept)
        outcome.leave_result(RESULTS / variant, clock.spent)
    runs.log(outcome.result)


if __name__ == "__main__":
    stage.run(main)
