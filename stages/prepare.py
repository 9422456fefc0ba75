"""prepare: load images from a source and divide them into a pool and test images.

reads   params.yaml (data); data.path for your own pictures; Keras's cache for CIFAR-10
writes  data/prepared/, results/prepare/, a run in MLflow
"""

import sys
from pathlib import Path

from fitgap import lifecycle
from fitgap.data.record import Record, Result
from fitgap.images.preparation import prepare
from fitgap.images.sources import load_collection
from fitgap.params.reading import load_params
from fitgap.system.files import fresh_folder

PREPARED, RESULT = Path("data/prepared"), Path("results/prepare")
COUNTED = ("exact_duplicates", "near_duplicates", "unusable_files", "left_out")


def main() -> None:
    """Prepare the images selected in params.yaml."""
    clock, params = lifecycle.Clock(), load_params()
    with clock.working(), fresh_folder(PREPARED) as folder:
        about, lines = prepare(load_collection(params.data), params.data, folder, params.learning_curve.sizes)
    for line in lines:
        print(f"fitgap: {line}", file=sys.stderr)
    counts = {f"{part}_images": rows for part, rows in about["rows"].items()}
    record = Record(
        stage="prepare",
        variant=None,
        params=params.section_params("data"),
        inputs={},
        outputs={"data": {"name": about["source"], "digest": about["digest"]}},
        measured={**counts, **{name: about[name] for name in COUNTED}},
    )
    lifecycle.finish(Result(record), clock, RESULT)


if __name__ == "__main__":
    lifecycle.run(main)
