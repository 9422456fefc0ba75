"""asis: way 1 of the notes, evaluate the pre-trained network and its original classifier on the target's test images.

reads   params.yaml (backbone, asis), data/prepared/, data/backbone/, data/source_classes.yaml; for ImageNet's
        weights also Keras's cache, which holds the whole network
writes  results/asis/, a run in MLflow
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap import lifecycle
from fitgap.cluster.work import Batches
from fitgap.data.draws import stratified_subset
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record, Result, not_applicable
from fitgap.definitions.determinism import start_tensorflow
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params

if TYPE_CHECKING:
    from fitgap.networks.evaluation import Evaluator

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/asis")
CLASS_MAP = Path("data/source_classes.yaml")


def main() -> None:
    """Evaluate the source classifier, if the weights have one and `asis.images` is not 0."""
    clock, params = lifecycle.Clock(), load_params()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    section = {**params.section_params("backbone"), **params.section_params("asis")}
    record = Record("asis", None, section, {"data": images.identity, "backbone": backbone.identity}, measured={})
    if not backbone.class_names:
        lifecycle.finish(not_applicable(record, "these weights have no classifier of their own"), clock, RESULT)
    elif not params.asis.images:
        lifecycle.finish(not_applicable(record, "asis.images in params.yaml is 0"), clock, RESULT)
    else:
        start_tensorflow(seed=0)
        from fitgap.networks.source_classifier import judge

        count, batches = len(tested()[0]), Batches("asis", run)
        with clock.working():
            answers = dict(batches.map(range(0, count, network().batch_size)))
            probabilities = np.concatenate([answers[start] for start in sorted(answers)])
        record = judge(record, network().network, probabilities, tested()[1], images, backbone, CLASS_MAP)
        result = Result(record, test_probabilities=probabilities[None])
        rates = {"images_per_second": count / clock.work_seconds}
        lifecycle.finish(result, clock, RESULT, rates=rates, processors=batches.processors)


def run(start: int) -> np.ndarray:
    """Return the classifier's answers to the batch of test images that begins with row `start`: the task of a node."""
    return network().outputs(tested()[0][start : start + network().batch_size])


@cache
def tested() -> tuple[np.ndarray, np.ndarray]:
    """Return `asis.images` test images, uint8 (n, size, size, 3), and their positions, stratified by class."""
    images, labels = read_prepared(PREPARED).part("test")
    positions = stratified_subset(labels, load_params().asis.images)
    return images[positions], positions


@cache
def network() -> "Evaluator":
    """Build the network with its own classifier once for all batches."""
    from fitgap.networks.evaluation import Evaluator
    from fitgap.networks.source_classifier import build_source_network, largest_input_shape

    built = build_source_network(read_backbone(BACKBONE), load_params().data.image_size)
    return Evaluator(built, largest_input_shape(built))


if __name__ == "__main__":
    lifecycle.run(main)
