"""backbone: VGG16's convolutional weights, learned from printed characters, downloaded, read from a file, or random.

reads   params.yaml (backbone, compute, data.image_size), backbone.path where your own weights are the source; Keras's
        cache where ImageNet's are
leaves  data/backbone/, results/backbone/, a run in MLflow
"""

from pathlib import Path

from fitgap import checkpoints, params, stage
from fitgap.backbone import stored
from fitgap.determinism import start_tensorflow
from fitgap.folders import fresh
from fitgap.results import Result

BACKBONE, RESULT = Path("data/backbone"), Path("results/backbone")


def main() -> None:
    """Make the weights that params.yaml names."""
    clock, chosen = stage.Clock(), params.load()
    start_tensorflow(chosen.backbone.seed)
    from fitgap.backbone import sources

    with checkpoints.of_stage("backbone") as kept, fresh(BACKBONE) as folder:
        with clock.working():
            made = sources.make(chosen.backbone, chosen.data.image_size, kept, chosen.compute.precision)
        about = {
            "weights": chosen.backbone.weights,
            "image_size": chosen.data.image_size,
            "class_names": made.class_names,
            "class_ids": made.class_ids,
        }
        about = stored.write(folder, made.base, about, made.classifier)
    record = {
        "stage": "backbone",
        "variant": None,
        "params": {
            **chosen.of_section("backbone"),
            **chosen.of_section("compute"),
            "data.image_size": chosen.data.image_size,
        },
        "inputs": {},
        "outputs": {"backbone": {"name": f"vgg16-{about['weights']}", "digest": about["digest"]}},
        "measured": made.measured,
    }
    result = Result(record, made.history)
    stage.leave(result, RESULT, clock)


if __name__ == "__main__":
    stage.run(main)
