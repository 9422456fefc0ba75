"""Try settings inside the pool, without the test images: `python -m bench.sizing MODEL... [KEY=VALUE ...]`.

For example `python -m bench.sizing scratch@baseline scratch@dropout scratch.epochs=50`. The pool is divided once more:
two thirds to draw from, one third to test on. Seeds begin at 100, so that no draw is one of the shipped seeds. The
first model is the reference: each line gives a model's means, then its differences to the reference with 95% intervals.

Needs data/prepared/, and for heads and fine-tuning data/features/ and data/backbone/ (`dvc repro features`).
`python -m bench.sizing pretraining IMAGES RATE` pre-trains VGG16 on printed characters, and prints what linear probes
on its blocks reach in the same way.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fitgap.data.draws import draw_rows, stratified_order
from fitgap.data.prepared import PreparedImages, read_prepared
from fitgap.data.record import Result
from fitgap.definitions.determinism import derive_seed, start_tensorflow
from fitgap.definitions.vgg16_layers import BLOCKS
from fitgap.inference.estimates import Estimate, estimate_over_seeds, estimate_over_seeds_and_images
from fitgap.params import reading
from fitgap.params.schema import Params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.programs.setting import apply_changes, parse_assignment

PREPARED, BACKBONE, FEATURES = Path("data/prepared"), Path("data/backbone"), Path("data/features")
SEEDS = list(range(100, 120))
SHARE = 2 / 3  # of the pool, to draw from
DIVISION, PRETRAINING = 12345, 7  # seeds


def main(*arguments: str) -> None:
    """Train the models named, and compare them with the first."""
    changes = dict(parse_assignment(text) for text in arguments if "=" in text)
    tree = apply_changes(reading.read_tree(Path("params.yaml")), {"seeds": SEEDS, **changes})
    params, models = reading.validate(tree, Path("params.yaml")), [text for text in arguments if "=" not in text]
    if models[:1] == ["pretraining"]:
        try_pretraining(params, int(models[1]), float(models[2]))
        return
    start_tensorflow(0, params.compute.threads)
    reference: Result | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name in models:
            begin = time.perf_counter()
            result = train(params, name, Path(folder))
            reference = reference or result
            spent = f"{time.perf_counter() - begin:.0f} s"
            print(f"{describe(name, result)}, {spent}{compare(result, reference)}", flush=True)


def inner_rows(images: PreparedImages) -> tuple[np.ndarray, int]:
    """Return the pool's rows, those to draw from first, and the number of these."""
    pool = images.rows["pool"]
    order = stratified_order(np.arange(pool.stop), images.labels[pool], DIVISION)
    count = round(SHARE * len(order))
    return np.append(np.sort(order[:count]), np.sort(order[count:])), count


def inside_the_pool(images: PreparedImages) -> PreparedImages:
    """Return the pool as prepared images with a pool and test images of their own."""
    rows, count = inner_rows(images)
    parts = {"pool": slice(0, count), "validation": slice(count, count), "test": slice(count, len(rows))}
    return PreparedImages(
        images.images[rows], images.labels[rows], images.class_names, parts, images.about, images.copies[rows]
    )


def train(params: Params, name: str, folder: Path) -> Result:
    """Train one model once per seed; heads leave their weights in `folder`, fine-tuning starts from these."""
    from fitgap.networks.storage import read_backbone
    from fitgap.training import experiment

    family, _, variant = name.partition("@")
    model, images = params.model(family, variant), inside_the_pool(whole := read_prepared(PREPARED))
    if family in ("scratch", "highrate"):
        built = experiment.scratch_experiment(params, model, images)
    else:
        file = params.head.layer if family == "head" else f"below_{variant}"
        features = np.load(FEATURES / f"{file}.npy", mmap_mode="r")[inner_rows(whole)[0]]
        backbone = read_backbone(BACKBONE)
        built = (
            experiment.head_experiment(params, model, images, backbone, features)
            if family == "head"
            else experiment.finetune_experiment(params, model, images, backbone, features, folder)
        )
    kept = folder / name
    kept.mkdir()
    outcome = experiment.run_experiment(built, params.seeds, Checkpoint(kept))
    if name == f"head@{params.finetune.head}":
        for seed in params.seeds:
            outcome.network_of(seed).save_weights(folder / experiment.weights_file(seed))
    return outcome.result


def describe(name: str, result: Result) -> str:
    """Return a model's means over seeds."""
    means = result.seeds.mean()
    return (
        f"{name}: accuracy {means['test_accuracy']:.1%}, final gap {means['gap_last']:.2f} nats, best "
        f"validation loss {means['val_loss_best']:.3f} nats at epoch {means['epochs_to_best']:.0f}"
    )


def compare(result: Result, reference: Result) -> str:
    """Return the differences to the reference with intervals; an empty string for the reference itself."""
    if result is reference:
        return ""
    labels = inside_the_pool(read_prepared(PREPARED)).part("test")[1]
    right, other = ((one.test_probabilities.argmax(-1) == labels).astype(float) for one in (result, reference))
    columns = [("gap", "gap_last"), ("loss", "val_loss_best")]
    others = [(title, estimate_over_seeds(result.seeds[key] - reference.seeds[key])) for title, key in columns]
    found = [("accuracy", estimate_over_seeds_and_images(right - other)), *others]
    return "".join(f"; {title} {_interval(estimate)}" for title, estimate in found)


def _interval(estimate: Estimate) -> str:
    low, high = estimate.interval()
    return f"{estimate.value:+.3f} ({low:+.3f} to {high:+.3f})"


def try_pretraining(params: Params, count: int, rate: float) -> None:
    """Pre-train on `count` characters at a peak learning rate; print the probes' mean accuracy by block."""
    start_tensorflow(PRETRAINING)
    from fitgap.backbone import glyphs, pretraining, probes
    from fitgap.networks import batch_normalised

    begin, images = time.perf_counter(), inside_the_pool(read_prepared(PREPARED))
    rendered, labels = glyphs.render(count, images.images.shape[1], derive_seed(PRETRAINING, "glyphs"))
    settings = pretraining.PretrainingSettings(params.backbone.glyphs.batch_size, rate)
    with tempfile.TemporaryDirectory() as folder:
        network, _ = pretraining.pretrain(rendered, labels, len(glyphs.CLASS_NAMES), settings, PRETRAINING)
        base, kernel, bias = batch_normalised.fold_batch_norm(network)
        base.save_weights(weights := Path(folder) / "vgg16.weights.h5")
        blocks = probes.build_pooled_blocks(weights, images.images.shape[1])
    answers = pretraining.folded_answers(base, kernel, bias, images.images)
    outputs, draws = blocks.predict(images.images, verbose=0), [draw_rows(images, params.data, s) for s in SEEDS]
    reached = [
        np.mean([probes.fit_probe(outputs[:, part], images.labels, rows).measured["test_accuracy"] for rows in draws])
        for part in probes.layer_columns(blocks).values()
    ]
    by_block = ", ".join(f"{block} {share:.1%}" for block, share in zip(BLOCKS, reached, strict=True))
    own = f"unchanged {(answers == images.labels).mean():.1%}"
    print(f"{count} characters, rate {rate:g}: {own}, probes {by_block}, {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
