"""Try settings inside the pool, without the test images: `python -m bench.sizing MODEL... [KEY=VALUE ...]`.

For example `python -m bench.sizing scratch@baseline scratch@dropout scratch.epochs=50`. The pool is divided once more:
two thirds to draw from, one third to test on. Seeds begin at 100, so that no draw is one of the shipped seeds. The
first model is the reference: each line gives a model's means, then its differences to the reference with 95% intervals.
Of a key with candidates, the middle one is taken; name another as KEY=VALUE.

Needs data/prepared/, and for heads and fine-tuning data/features/ and data/backbone/ (`dvc repro features`).
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.trainings import specify
from fitgap.data.draws import stratified_order
from fitgap.data.prepared import PreparedImages, read_prepared
from fitgap.data.record import Result
from fitgap.data.results import weights_file
from fitgap.definitions.determinism import start_tensorflow
from fitgap.inference.estimates import estimate_over_seeds, estimate_over_seeds_and_images
from fitgap.params import reading
from fitgap.params.schema import Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.programs.setting import apply_changes, parse_assignment

PARAMS, PREPARED = Path("params.yaml"), Path("data/prepared")
BACKBONE, FEATURES = Path("data/backbone"), Path("data/features")
SEEDS = list(range(100, 120))
SHARE, DIVISION = 2 / 3, 12345  # of the pool to draw from; seed of the division


def main(*arguments: str) -> None:
    """Train the models named, and compare them with the first."""
    changes = dict(parse_assignment(text) for text in arguments if "=" in text)
    tree = apply_changes(reading.read_tree(PARAMS), {"seeds": SEEDS, **changes})
    params, results = reading.validate(tree, PARAMS), []
    start_tensorflow(0, params.compute.threads)
    with tempfile.TemporaryDirectory() as folder:
        for name in (text for text in arguments if "=" not in text):
            results.append(train(params, name, Path(folder)))
            print(describe(name, results[-1], results[0]), flush=True)


def inside_the_pool(images: PreparedImages) -> tuple[PreparedImages, np.ndarray]:
    """Return the pool as prepared images with a pool and test images of their own, and their rows in `images`."""
    pool = images.rows["pool"]
    order = stratified_order(np.arange(pool.stop), images.labels[pool], DIVISION)
    count = round(SHARE * len(order))
    rows = np.append(np.sort(order[:count]), np.sort(order[count:]))
    parts = {"pool": slice(0, count), "validation": slice(count, count), "test": slice(count, len(rows))}
    arrays = images.images[rows], images.labels[rows], images.class_names
    return PreparedImages(*arrays, parts, images.about, images.copies[rows]), rows


def train(params: Params, name: str, folder: Path) -> Result:
    """Train one model once per seed; heads leave their weights in `folder`, fine-tuning starts from these."""
    from fitgap.networks.storage import read_backbone
    from fitgap.training.experiment import build_experiment

    family, _, variant = name.partition("@")
    model, (images, rows) = specify(params, family, variant), inside_the_pool(read_prepared(PREPARED))
    inputs, backbone = images.images, None
    if family in ("head", "finetune"):
        file = f"cells/{model.head.layer}" if family == "head" else f"below_{variant}"
        inputs, backbone = np.load(FEATURES / f"{file}.npy", mmap_mode="r")[rows], read_backbone(BACKBONE)

    def start_head(head, seed: int) -> None:
        head.load_weights(folder / weights_file(seed))

    (folder / name).mkdir()
    experiment = build_experiment(params, model, images, inputs, backbone, start_head)
    outcome = experiment.run(params.seeds, Checkpoint(folder / name))
    if name == f"head@{params.finetune.head}":
        outcome.save_weights(folder, params.seeds)
    return outcome.result


def describe(name: str, result: Result, reference: Result) -> str:
    """Return a model's means over seeds, and the differences to the reference with intervals."""
    means, differences = result.seeds.mean(), {}
    text = (
        f"{name}: accuracy {means['test_accuracy']:.1%}, final gap {means['gap_last']:.2f} nats, best "
        f"validation loss {means['val_loss_best']:.3f} nats at epoch {means['epochs_to_best']:.0f}"
    )
    if result is not reference:
        labels = inside_the_pool(read_prepared(PREPARED))[0].part("test")[1]
        right, other = ((each.test_probabilities.argmax(-1) == labels).astype(float) for each in (result, reference))
        differences["accuracy"] = estimate_over_seeds_and_images(right - other)
        for title, key in (("gap", "gap_last"), ("loss", "val_loss_best")):
            differences[title] = estimate_over_seeds(result.seeds[key] - reference.seeds[key])
    lines = ((title, estimate.value, *estimate.interval()) for title, estimate in differences.items())
    return text + "".join(f"; {title} {value:+.3f} ({low:+.3f} to {high:+.3f})" for title, value, low, high in lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
