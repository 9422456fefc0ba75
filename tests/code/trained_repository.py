"""Train a repository's small models on pictures in a folder, by the library, as the stages do."""

import os
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fitgap.data.prepared import read_prepared
from fitgap.data.record import Record, Result, not_applicable
from fitgap.data.results import weights_file
from fitgap.images.preparation import prepare
from fitgap.images.sources import load_collection
from fitgap.params.reading import load_params
from fitgap.pipeline.checkpoints import Checkpoint
from fitgap.system.files import fresh_folder

CHANGES = {
    "data": {
        "source": "directory",
        "pool_images": 24,
        "train_images": 12,
        "validation_images": 12,
        "near_duplicates": "warn",
    },
    "backbone": {"weights": "none"},
    "scratch": {"epochs": 2, "batch_size": 4, "learning_rate": 0.003, "validation_freq": 1},
    "head": {"epochs": 2, "batch_size": 4, "dense_units": 8, "learning_rate": 0.001, "validation_freq": 1},
    "finetune": {
        "head": "baseline",
        "depths": ["block5_conv3"],
        "epochs": 1,
        "batch_size": 4,
        "learning_rate": 0.001,
        "validation_freq": 1,
    },
    "learning_curve": {"sizes": [], "repetitions": 1},
    "variants": {
        "baseline": {},
        "remedied": {"batch_norm": True, "dropout": 0.3, "l2": 0.01},
        "shifted": {"shift": 0.1},
    },
}
MODELS = ("scratch@baseline", "scratch@remedied", "head@baseline", "head@remedied", "finetune@block5_conv3")


def paint(folder: Path) -> None:
    """Write pictures of two classes, bright and dark, of other sizes than the networks take."""
    random = np.random.default_rng(0)
    for name, level in (("café", 60), ("night", 160)):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(level - 60, level + 60, (40, 52, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


def train(top: Path) -> None:
    """Write data/, models/ and results/."""
    from fitgap.backbone.features import FrozenBase, extract_features
    from fitgap.networks import vgg16
    from fitgap.networks.storage import read_backbone, write_backbone
    from fitgap.training.experiment import build_experiment

    params = load_params(top / "params.yaml")
    with fresh_folder(top / "data/prepared") as folder:
        prepare(load_collection(params.data), params.data, folder)
    images, size = read_prepared(top / "data/prepared"), params.data.image_size
    with fresh_folder(top / "data/backbone") as folder:
        about = {"weights": "none", "image_size": size, "class_names": [], "class_ids": []}
        write_backbone(folder, vgg16.convolutional_base(None, size), about, None)
    base, layers = read_backbone(top / "data/backbone"), {"block5_pool": "block5_pool", "below": "block5_conv2"}
    frozen = FrozenBase(base.weights, size, layers)
    passes = lambda starts: ((start, frozen.activations_from(images.images, start)) for start in starts)  # noqa: E731
    extract_features(images.images, layers, Checkpoint(top), passes)
    top_pool, below = (np.load(top / f"{name}.npy") for name in layers)
    for name in MODELS:
        family, _, variant = name.partition("@")
        model = params.model(family, variant)
        inputs = {"scratch": images.images, "head": top_pool, "finetune": below}[family]
        borrowed = None if family == "scratch" else base
        made = build_experiment(
            params, model, images, inputs, borrowed, partial(start_head, top / "models/head/baseline")
        )
        outcome = made.run(params.seeds, open_checkpoint(top, name))
        seeds = params.seeds if family == "head" else [outcome.result.record.best_seed]
        with fresh_folder(top / "models" / family / variant) as folder:
            outcome.save_weights(folder, seeds)
        write(outcome.result, top)
    nothing = Record("head", "shifted", {}, {"data": images.identity}, measured={})
    write(not_applicable(nothing, "for scratch models only"), top)
    write(Result(Record("prepare", None, params.section_params("data"), {}, measured={})), top)


def start_head(heads: Path, head, seed: int) -> None:
    """Set the weights that a fine-tuned network starts from."""
    head.load_weights(heads / weights_file(seed))


def open_checkpoint(top: Path, name: str) -> Checkpoint:
    folder = top / "checkpoints" / name
    folder.mkdir(parents=True)
    return Checkpoint(folder)


def write(result: Result, top: Path) -> None:
    with fresh_folder(top / "results" / result.name.replace("@", "/")) as folder:
        result.write(folder)


def environment(repository: Path) -> dict[str, str]:
    """Return variables with which programs of the repository run in another folder."""
    return {**os.environ, "PYTHONPATH": str(repository), "PYTHONUTF8": "1"}
