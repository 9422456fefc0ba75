"""asis: way 1 of the notes, the unchanged network with its own classifier, on the target's test images.

reads   params.yaml (backbone), data/prepared/, data/backbone/, data/source_classes.yaml
leaves  results/asis/, a run in MLflow
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from fitgap import params, stage
from fitgap.backbone import source_classes, stored
from fitgap.backbone.layers import LAYERS, count_parameters
from fitgap.determinism import start_tensorflow
from fitgap.images import prepared
from fitgap.results import Result

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/asis")
MAPPING = Path("data/source_classes.yaml")


def main() -> None:
    """Let the source classifier answer, as far as there is one."""
    clock, chosen = stage.Clock(), params.load()
    images, backbone = prepared.read(PREPARED), stored.read(BACKBONE)
    record = {
        "stage": "asis",
        "variant": None,
        "params": chosen.of_section("backbone"),
        "inputs": {"data": images.identity, "backbone": backbone.identity},
        "measured": {},
    }
    result, rate = judged(record, images, backbone) if backbone.class_names else (not_applicable(record), {})
    stage.leave(result, RESULT, clock, **rate)


def not_applicable(record: dict) -> Result:
    """Leave a record that says why there is nothing to measure."""
    record["not_applicable"] = "these weights have no classifier of their own"
    return Result(record, test_probabilities=np.empty((0, 0, 0), np.float32))


def judged(record: dict, images: prepared.PreparedImages, backbone: stored.StoredBackbone) -> tuple[Result, dict]:
    """Measure the answers on the test images; nothing is trained, so there is one row and no spread."""
    start_tensorflow(seed=0)
    from fitgap.networks import unchanged
    from fitgap.training.evaluation import Evaluator

    kernel, bias = backbone.classifier()
    network = unchanged.source_network(backbone.weights, kernel, bias, images.about["image_size"])
    tested, labels = images.split("test")
    clock = stage.Clock()
    probabilities = Evaluator(network).outputs(tested)
    rate = len(labels) / clock.seconds
    mapping = source_classes.read(MAPPING)
    answers = source_classes.target_of(backbone.class_names, backbone.class_ids, images.class_names, mapping)
    judgement = unchanged.judge(probabilities, answers, labels, images.class_names)
    measured = {**asdict(judgement), "known_classes": len(judgement.known_classes)}
    total = count_parameters(LAYERS[-1]) + kernel.size + bias.size
    record = {
        **record,
        "classes": answers,
        "measured": {**measured, "source_classes": len(backbone.class_names)},
        "known_classes": judgement.known_classes,
        "parameters": {"total": total, "trainable": 0, "frozen": total},
        "seeds": [{"seed": record["params"]["backbone.seed"], "test_accuracy": judgement.accuracy_all_classes}],
    }
    return Result(record, test_probabilities=probabilities[None]), {"images_per_second": rate}


if __name__ == "__main__":
    stage.run(main)
