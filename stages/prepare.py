"""prepare: images from a source, split once and for all.

reads   params.yaml (data), data.path where your own pictures are the source, Keras's cache
        where CIFAR-10 is
leaves  data/prepared/, results/prepare/, a run in MLflow
"""

import sys
from pathlib import Path

from fitgap import params, stage, timings
from fitgap.folders import fresh
from fitgap.images import preparing, sources
from fitgap.results import Result
from fitgap.tracking import runs

PREPARED, RESULT = Path("data/prepared"), Path("results/prepare")
COUNTED = ("exact_duplicates", "near_duplicates", "unusable_files", "left_out")


def main() -> None:
    """Prepare the images that params.yaml names."""
    clock, chosen = stage.Clock(), params.load()
    with clock.working(), fresh(PREPARED) as folder:
        collection = sources.load(chosen.data)
        about, warnings = preparing.prepare(collection, chosen.data, folder)
    for warning in warnings:
        print(f"fitgap: {warning}", file=sys.stderr)
    result = Result(
        {
            "stage": "prepare",
            "variant": None,
            "params": chosen.of_section("data"),
            "inputs": {},
            "outputs": {"data": {"name": about["source"], "digest": about["digest"]}},
            "measured": {
                **{f"{name}_images": rows for name, rows in about["rows"].items()},
                **{name: about[name] for name in COUNTED},
            },
        }
    )
    with fresh(RESULT) as folder:
        result.write(folder)
    timings.keep(result, clock.spent)
    runs.log(result)


if __name__ == "__main__":
    stage.run(main)
