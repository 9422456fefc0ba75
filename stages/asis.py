"""asis: way 1 of the notes, the unchanged network with its own classifier, on the target's test images.

reads   params.yaml (backbone, asis), data/prepared/, data/backbone/, data/source_classes.yaml; with ImageNet's
        weights Keras's cache too, where the whole network is kept
leaves  results/asis/, a run in MLflow
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from fitgap import params, stage
from fitgap.backbone import source_classes, stored
from fitgap.determinism import start_tensorflow
from fitgap.images import prepared
from fitgap.images.split import stratified_part
from fitgap.results import Result

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/asis")
MAPPING = Path("data/source_classes.yaml")


def main() -> None:
    """Let the source classifier answer, as far as there is one and it is asked."""
    clock, chosen = stage.Clock(), params.load()
    images, backbone = prepared.read(PREPARED), stored.read(BACKBONE)
    record = {
        "stage": "asis",
        "variant": None,
        "params": {**chosen.of_section("backbone"), **chosen.of_section("asis")},
        "inputs": {"data": images.identity, "backbone": backbone.identity},
        "measured": {},
    }
    if not backbone.class_names:
        result, rate = not_applicable(record, "these weights have no classifier of their own"), {}
    elif not chosen.asis.images:
        result, rate = not_applicable(record, "asis.images in params.yaml is 0"), {}
    else:
        positions = stratified_part(images.split("test")[1], chosen.asis.images)
        result, rate = judged(record, images, backbone, positions, clock)
    stage.leave(result, RESULT, clock, **rate)


def not_applicable(record: dict, why: str) -> Result:
    """Leave a record that says why there is nothing to measure."""
    return Result({**record, "not_applicable": why}, test_probabilities=np.empty((0, 0, 0), np.float32))


def judged(
    record: dict,
    images: prepared.PreparedImages,
    backbone: stored.StoredBackbone,
    positions: np.ndarray,
    clock: stage.Clock,
) -> tuple[Result, dict]:
    """Measure the answers on some test images; nothing is trained, so there is one row and no spread."""
    start_tensorflow(seed=0)
    from fitgap.networks import unchanged
    from fitgap.training.evaluation import Evaluator

    network = unchanged.source_network(backbone, images.about["image_size"])
    tested, labels = (part[positions] for part in images.split("test"))
    with clock.working():
        probabilities = Evaluator(network, unchanged.largest_shape(network)).outputs(tested)
    rate = len(labels) / clock.work_seconds
    mapping = source_classes.read(MAPPING)
    answers = source_classes.target_of(backbone.class_names, backbone.class_ids, images.class_names, mapping)
    judgement = unchanged.judge(probabilities, answers, labels, images.class_names)
    measured = {**asdict(judgement), "known_classes": len(judgement.known_classes)}
    total = unchanged.count_parameters(network)
    record = {
        **record,
        "classes": answers,
        "test_positions": positions.tolist(),
        "measured": {**measured, "source_classes": len(backbone.class_names), "test_images": len(labels)},
        "known_classes": judgement.known_classes,
        "parameters": {"total": total, "trainable": 0, "frozen": total},
        "seeds": [{"seed": record["params"]["backbone.seed"], "test_accuracy": judgement.accuracy_all_classes}],
    }
    if len(labels) == len(images.split("test")[1]):
        del record["test_positions"]  # all of them: the usual case needs no list
    return Result(record, test_probabilities=probabilities[None]), {"images_per_second": rate}


if __name__ == "__main__":
    stage.run(main)
