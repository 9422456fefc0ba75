"""probe: fit a linear classifier to the output of each of VGG16's blocks, on the target data.

reads   params.yaml (seeds, data), data/prepared/, data/backbone/
writes  results/probe/, a run in MLflow
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fitgap import lifecycle
from fitgap.cluster.work import Batches
from fitgap.data.draws import draw_rows
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record, Result
from fitgap.definitions.determinism import start_tensorflow
from fitgap.definitions.vgg16_layers import POOLS
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params

if TYPE_CHECKING:
    from fitgap.networks.evaluation import Evaluator

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/probe")


def main() -> None:
    """Fit one probe per block and seed, from the first block to the last."""
    clock, params = lifecycle.Clock(), load_params()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    start_tensorflow(seed=0)
    from fitgap.backbone.probes import fit_probes, means_by_block

    batches = Batches("probe", run)
    with clock.working():
        outputs = batches.outputs(len(images.images), pooled_blocks().batch_size)
        draws = {seed: draw_rows(images, params.data, seed) for seed in params.seeds}
        history, probabilities = fit_probes(pooled_blocks().network, outputs, images.labels, draws)
    record = Record(
        stage="probe",
        variant=None,
        params={"seeds": params.seeds, **params.data.drawn},
        inputs={"data": images.identity, "backbone": backbone.identity},
        measured=means_by_block(history),
        classes=images.class_names,
        layers=list(POOLS),
    )
    lifecycle.finish(Result(record, history, probabilities), clock, RESULT, processors=batches.processors)


def run(start: int) -> np.ndarray:
    """Return the outputs of all blocks for the batch of images that begins with row `start`: the task of a node."""
    return pooled_blocks().outputs(read_prepared(PREPARED).images[start : start + pooled_blocks().batch_size])


@cache
def pooled_blocks() -> "Evaluator":
    """Build VGG16 with the pooled outputs of all blocks once for all batches."""
    from fitgap.backbone.probes import build_pooled_blocks
    from fitgap.networks.evaluation import Evaluator

    return Evaluator(build_pooled_blocks(read_backbone(BACKBONE).weights, load_params().data.image_size))


if __name__ == "__main__":
    lifecycle.run(main)
