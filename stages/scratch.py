"""scratch@VARIANT: train the notes' convolutional network from random weights.

reads   params.yaml (seeds, scratch, variants.VARIANT), data/prepared/
writes  models/scratch/VARIANT/ (the best seed's weights), results/scratch/VARIANT/, runs in MLflow
"""

from functools import partial
from pathlib import Path

from fitgap import lifecycle
from fitgap.images.prepared import read_prepared
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import open_checkpoint
from fitgap.pipeline.record import Record
from fitgap.system.determinism import start_tensorflow
from fitgap.tracking.models import log_model

PREPARED, MODELS, RESULTS = Path("data/prepared"), Path("models/scratch"), Path("results/scratch")


def main(name: str) -> None:
    """Train one network per seed with the remedies of variant `name`."""
    clock, params = lifecycle.Clock(), load_params()
    model, images = params.model("scratch", name), read_prepared(PREPARED)
    if model.obstacle:
        record = Record("scratch", name, model.recorded, {"data": images.identity}, measured={})
        lifecycle.finish_without_model(record, model.obstacle, clock, MODELS / name, RESULTS / name)
        return
    start_tensorflow(0, params.compute.threads)
    from fitgap.networks.architectures import build_whole
    from fitgap.training.experiment import run_experiment, scratch_experiment

    with open_checkpoint(f"scratch@{name}") as checkpoint:
        with clock.working():
            outcome = run_experiment(scratch_experiment(params, model, images), params.seeds, checkpoint)
        outcome.save_weights(MODELS / name, [outcome.best_seed])
        run = lifecycle.finish(outcome.result, clock, RESULTS / name, **outcome.times)
    whole = partial(build_whole, outcome.network_of(outcome.best_seed), params.data.image_size)
    log_model(run, whole, images.class_names)


if __name__ == "__main__":
    lifecycle.run(main)
