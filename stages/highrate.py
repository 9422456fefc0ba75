"""highrate@VARIANT: train scratch@VARIANT at a higher learning rate.

reads   params.yaml (seeds, scratch, highrate, variants.VARIANT), data/prepared/
writes  results/highrate/VARIANT/, runs in MLflow; no weights, because these models only test a claim
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.images.prepared import read_prepared
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import open_checkpoint
from fitgap.system.determinism import start_tensorflow

PREPARED, RESULTS = Path("data/prepared"), Path("results/highrate")


def main(name: str) -> None:
    """Train one network per seed with the remedies of variant `name`, at the higher learning rate."""
    clock, params = lifecycle.Clock(), load_params()
    model = params.model("highrate", name)
    start_tensorflow(0, params.compute.threads)
    from fitgap.training.experiment import run_experiment, scratch_experiment

    images = read_prepared(PREPARED)
    with open_checkpoint(f"highrate@{name}") as checkpoint:
        with clock.working():
            outcome = run_experiment(scratch_experiment(params, model, images), params.seeds, checkpoint)
        lifecycle.finish(outcome.result, clock, RESULTS / name, **outcome.times)


if __name__ == "__main__":
    lifecycle.run(main)
