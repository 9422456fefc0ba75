"""The notes' network from random weights, as an experiment: at its usual learning rate, and at a higher one."""

from fitgap.images.prepared import PreparedImages
from fitgap.networks.assembly import Assembly
from fitgap.params import Params
from fitgap.training.experiment import Experiment


def from_scratch(params: Params, images: PreparedImages, stage: str, variant: str) -> Experiment:
    """Describe the training of a variant's network; `stage` ("scratch" or "highrate") sets the learning rate."""
    assembly = Assembly(params, len(images.class_names))
    return Experiment(
        record={
            "stage": stage,
            "variant": variant,
            "params": params.of_model(stage, variant),
            "inputs": {"data": images.identity},
            "classes": images.class_names,
        },
        splits=images.with_labels(images.images),
        build=lambda seed: assembly.scratch(variant, seed),
        schedule=params.scratch,
        learning_rate=params.learning_rate(stage, variant),
    )
