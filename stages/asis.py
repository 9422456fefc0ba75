"""asis: way 1 of the notes, evaluate the pre-trained network and its original classifier on the target's test images.

reads   params.yaml (backbone, asis), data/prepared/, data/backbone/, data/source_classes.yaml; for ImageNet's
        weights also Keras's cache, which holds the whole network
writes  results/asis/, a run in MLflow
"""

from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fitgap import lifecycle
from fitgap.cluster.work import compute_outputs
from fitgap.data.draws import stratified_subset
from fitgap.data.prepared import PreparedImages, read_prepared
from fitgap.data.record import Record, Result, not_applicable
from fitgap.definitions.determinism import start_tensorflow
from fitgap.networks.storage import StoredBackbone, read_backbone
from fitgap.params.reading import load_params

if TYPE_CHECKING:
    from fitgap.networks.evaluation import Evaluator

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/asis")
CLASS_MAP = Path("data/source_classes.yaml")


def main() -> None:
    """Evaluate the source classifier, if the weights have one and `asis.images` is not 0."""
    clock, params = lifecycle.Clock(), load_params()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    record = Record(
        stage="asis",
        variant=None,
        params={**params.section_params("backbone"), **params.section_params("asis")},
        inputs={"data": images.identity, "backbone": backbone.identity},
        measured={},
    )
    if not backbone.class_names:
        result, measured = not_applicable(record, "these weights have no classifier of their own"), {}
    elif not params.asis.images:
        result, measured = not_applicable(record, "asis.images in params.yaml is 0"), {}
    else:
        result, measured = judge(record, images, backbone, clock)
    lifecycle.finish(result, clock, RESULT, **measured)


def judge(
    record: Record, images: PreparedImages, backbone: StoredBackbone, clock: lifecycle.Clock
) -> tuple[Result, dict[str, Any]]:
    """Evaluate the source classifier on the test images; return the result, and arguments of `lifecycle.finish`.

    Nothing is trained: the result has a single row and no spread over seeds.
    """
    start_tensorflow(seed=0)
    from fitgap.networks import source_classifier

    positions = tested_positions(images)
    labels = images.part("test")[1][positions]
    with clock.working():
        probabilities, processors = compute_outputs("asis", source_network(), tested_images())
    class_map = source_classifier.read_class_map(CLASS_MAP)
    answers = source_classifier.target_classes(backbone.class_names, backbone.class_ids, images.class_names, class_map)
    judgement = source_classifier.judge_answers(probabilities, answers, labels, images.class_names)
    measured = {**asdict(judgement), "known_classes": len(judgement.known_classes)}
    total = source_classifier.count_parameters(source_network().network)
    record = replace(
        record,
        measured={**measured, "source_classes": len(backbone.class_names), "test_images": len(labels)},
        classes=answers,
        # None means the whole test set, the usual case.
        test_positions=positions.tolist() if len(labels) < len(images.part("test")[1]) else None,
        known_classes=judgement.known_classes,
        parameters={"total": total, "trainable": 0, "frozen": total},
        seeds=[{"seed": record.params["backbone.seed"], "test_accuracy": judgement.accuracy_all_classes}],
    )
    rates = {"images_per_second": len(labels) / clock.work_seconds}
    return Result(record, test_probabilities=probabilities[None]), {"rates": rates, "processors": processors}


def run(start: int) -> np.ndarray:
    """Return the classifier's answers to the batch of test images that begins with row `start`: the task of a node."""
    return source_network().outputs(tested_images()[start : start + source_network().batch_size])


@cache
def tested_images() -> np.ndarray:
    """Return the test images to classify, uint8 (n, size, size, 3)."""
    images = read_prepared(PREPARED)
    return images.part("test")[0][tested_positions(images)]


def tested_positions(images: PreparedImages) -> np.ndarray:
    """Return the positions of `asis.images` test images, int64 (n,), stratified by class."""
    return stratified_subset(images.part("test")[1], load_params().asis.images)


@cache
def source_network() -> "Evaluator":
    """Build the network with its own classifier once for all batches."""
    from fitgap.networks.evaluation import Evaluator
    from fitgap.networks.source_classifier import build_source_network, largest_input_shape

    network = build_source_network(read_backbone(BACKBONE), load_params().data.image_size)
    return Evaluator(network, largest_input_shape(network))


if __name__ == "__main__":
    lifecycle.run(main)
