"""probe: fit a linear classifier to the output of each cached block of VGG16, on the target data.

reads   params.yaml (seeds, data, features.layers), data/prepared/, data/backbone/backbone.json (the base's identity),
        data/features/cells/
writes  results/probe/, a run in MLflow
"""

from pathlib import Path

import numpy as np

from fitgap import lifecycle
from fitgap.backbone.probes import fit_probes, means_by_block
from fitgap.data.draws import draw_rows
from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record, Result
from fitgap.networks.storage import read_backbone
from fitgap.params.reading import load_params

PREPARED, BACKBONE, RESULT = Path("data/prepared"), Path("data/backbone"), Path("results/probe")
FEATURES = Path("data/features/cells")


def main() -> None:
    """Fit one probe per block and seed, from the first block to the last."""
    clock, params = lifecycle.Clock(), load_params()
    images, backbone = read_prepared(PREPARED), read_backbone(BACKBONE)
    layers = sorted(params.features.layers)
    with clock.working():
        features = {layer: np.load(FEATURES / f"{layer}.npy", mmap_mode="r") for layer in layers}
        draws = {seed: draw_rows(images, params.data, seed) for seed in params.seeds}
        history, probabilities = fit_probes(features, images.labels, draws)
    record = Record(
        stage="probe",
        variant=None,
        params={"seeds": params.seeds, **params.data.drawn},
        inputs={"data": images.identity, "backbone": backbone.identity},
        measured=means_by_block(history),
        classes=images.class_names,
        layers=layers,
    )
    lifecycle.finish(Result(record, history, probabilities), clock, RESULT)


if __name__ == "__main__":
    lifecycle.run(main)
