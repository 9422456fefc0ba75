"""backbone: provide VGG16's convolutional weights: pre-trained here, downloaded, read from a file or random.

reads   params.yaml (backbone, compute.precision, compute.hand_written_kernels, data.image_size); backbone.path for
        your own weights; Keras's cache for ImageNet's
writes  data/backbone/, results/backbone/, a run in MLflow
"""

from pathlib import Path

from fitgap import lifecycle
from fitgap.data.record import Record, Result
from fitgap.definitions.determinism import start_tensorflow
from fitgap.networks.storage import write_backbone
from fitgap.params.reading import load_params
from fitgap.system.files import fresh_folder

BACKBONE, RESULT = Path("data/backbone"), Path("results/backbone")


def main() -> None:
    """Produce the weights selected in params.yaml."""
    clock, params = lifecycle.Clock(), load_params()
    start_tensorflow(params.backbone.seed, params.backbone.glyphs.threads)
    from fitgap.backbone.weight_sources import load_source

    size, weights = params.data.image_size, params.backbone.weights
    with fresh_folder(BACKBONE) as folder:
        with clock.working():
            source = load_source(params.backbone, size, params.compute)
        about = {
            "weights": weights,
            "image_size": size,
            "class_names": source.class_names,
            "class_ids": source.class_ids,
        }
        about = write_backbone(folder, source.base, about, source.classifier)
    record = Record(
        stage="backbone",
        variant=None,
        params={
            **params.section_params("backbone"),
            "compute.precision": params.compute.precision,
            "compute.hand_written_kernels": params.compute.hand_written_kernels,
            "data.image_size": size,
        },
        inputs={},
        outputs={"backbone": {"name": f"vgg16-{weights}", "digest": about["digest"]}},
        measured=source.measured,
    )
    lifecycle.finish(Result(record, source.history), clock, RESULT)


if __name__ == "__main__":
    lifecycle.run(main)
