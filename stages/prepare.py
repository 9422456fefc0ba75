"""prepare: images from a source, split once and for all.

reads   params.yaml (data)
leaves  data/prepared/, results/prepare/, a run in MLflow
"""

from pathlib import Path

import pandas as pd

from fitgap import params, stage, timings
from fitgap.folders import fresh
from fitgap.images import digits, prepared, split
from fitgap.results import Result
from fitgap.tracking import runs

PREPARED, RESULT = Path("data/prepared"), Path("results/prepare")


def main() -> None:
    """Prepare the images that params.yaml names."""
    clock, chosen = stage.Clock(), params.load()
    images, labels, names = digits.load(chosen.data.image_size)
    manifest = pd.DataFrame({"name": names, "sha256": split.pixel_hashes(images), "label": labels})
    manifest["class"] = [digits.CLASS_NAMES[label] for label in labels]
    sizes = chosen.data.train_images, chosen.data.validation_images
    manifest["split"] = split.stratified_split(manifest, *sizes, chosen.data.split_seed)
    order = split.order_by_split(manifest["split"])
    about = {
        "source": chosen.data.source,
        "image_size": chosen.data.image_size,
        "class_names": digits.CLASS_NAMES,
        "exact_duplicates": int(manifest["sha256"].duplicated().sum()),
        "near_duplicates": split.near_duplicates(images, manifest["split"]),
    }
    with fresh(PREPARED) as folder:
        about = prepared.write(folder, images[order], manifest.iloc[order].reset_index(drop=True), about)
    result = Result(
        {
            "stage": "prepare",
            "variant": None,
            "params": chosen.of_section("data"),
            "inputs": {},
            "outputs": {"data": {"name": about["source"], "digest": about["digest"]}},
            "measured": {
                **{f"{name}_images": rows for name, rows in about["rows"].items()},
                "exact_duplicates": about["exact_duplicates"],
                "near_duplicates": about["near_duplicates"],
            },
        }
    )
    with fresh(RESULT) as folder:
        result.write(folder)
    timings.keep(result, clock.seconds)
    runs.log(result)


if __name__ == "__main__":
    stage.run(main)
