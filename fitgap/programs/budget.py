"""Derive a setting for a folder of pictures from what is there and from a time: the rules of `make photographs`.

A setting is a row of LEVELS, cut to what the pictures allow. The highest row whose expected time fits is taken.
docs/data.md explains the rules to users.
"""

import itertools
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fitgap.data.draws import ALL, TRIAL_DRAWS, Amount
from fitgap.images.inventory import Inventory
from fitgap.params.schema import ModelSpec, Params


class Level(NamedTuple):
    """How large an experiment is at most."""

    side: int  # of the images, in pixels
    train: int  # training images of each repetition
    test: int  # test images
    updates: int  # of a network from scratch
    repetitions: int
    trials: int  # of a network from scratch, and of fine-tuning
    remedies: int  # variants from scratch: the first ones of REMEDIES


LEVELS = (
    Level(32, 500, 1000, 300, 3, 1, 4),
    Level(32, 500, 1000, 500, 5, 1, 5),
    Level(48, 1000, 1000, 600, 5, 1, 5),
    Level(64, 1000, 1000, 800, 5, 1, 6),
    Level(64, 1000, 1000, 1000, 7, 1, 7),
    Level(96, 1000, 1000, 800, 5, 1, 6),
    Level(96, 1000, 1000, 1000, 7, 1, 7),
    Level(96, 2000, 2000, 1000, 5, 2, 8),
    Level(128, 2000, 2000, 1500, 5, 3, 8),
    Level(160, 5000, 2000, 2000, 10, 4, 8),
    Level(224, 10000, 5000, 2500, 10, 4, 8),
    Level(224, 100000, 10000, 5000, 20, 4, 8),
)
REMEDIES = ("baseline", "dropout", "batchnorm", "combined", "augment", "weight_decay", "early_stopping", "l2")
ENLARGED = 3  # how many times a picture may be enlarged: VGG16 knows larger ones (docs/cifar10.md)
SHARE, MOST_VALIDATION = 0.25, 1000  # of the pictures for testing, and of the others for validation
HEAD_EPOCHS, HEAD_UPDATES, FINETUNE_EPOCHS = 100, 6000, 6  # at most
EVALUATIONS = 10  # measurements of a training, at most
SMALLEST_MAP, FILTERS = 8, (8, 16, 32, 64, 64)  # of the last block from scratch: pixels at most; by block

# The reference machine: the two cores of an Intel Xeon with AVX-512, which makes REFERENCE billion multiply-adds
# a second in matrix products. Seconds with both cores busy. GMAC: 1e9 multiply-adds.
REFERENCE = 100.0
PER_STAGE, PER_REPORT = 2.5, 25.0
PER_GMAC = {"scratch": 0.025, "finetune": 0.017, "features": 0.017}
PER_HEAD_UPDATE = 0.0006
VGG16_GMAC, BLOCK5_GMAC = 15.3 / 224**2, 0.00708 / 16**2  # of an image, per pixel


def derive(pictures: Inventory, level: Level) -> dict[str, Any]:
    """Return the settings of a level for these pictures: dotted key of params.yaml -> value; None removes the key."""
    side = min(level.side, max(32, ENLARGED * pictures.side // 16 * 16))
    amounts = divide(pictures, level)
    batches = math.ceil(amounts["train"] / 20)
    epochs = max(5, math.ceil(level.updates / batches))
    head_epochs = max(5, min(HEAD_EPOCHS, HEAD_UPDATES // batches))
    sizes = curve_sizes(amounts["train"], len(pictures.per_class))
    return {
        "seeds": list(range(level.repetitions)),
        "data.image_size": side,
        **{f"data.{name}_images": amount for name, amount in amounts.items()},
        "scratch.filters": filters(side),
        "scratch.epochs": epochs,
        "scratch.validation_freq": math.ceil(epochs / EVALUATIONS),
        "scratch.trials": level.trials,
        "head.epochs": head_epochs,
        "head.validation_freq": math.ceil(head_epochs / EVALUATIONS),
        "finetune.epochs": FINETUNE_EPOCHS,
        "finetune.trials": level.trials,
        "learning_curve.sizes": sizes,
        "learning_curve.repetitions": level.repetitions,
        **{f"variants.{name}": None for name in REMEDIES[level.remedies :]},
    }


def divide(pictures: Inventory, level: Level) -> dict[str, Amount]:
    """Return the amounts of section `data`: pool, test, validation and training images.

    The pool is twice what a repetition needs, where there are so many, so that repetitions differ.
    """
    free, test, fixed = (pictures.of(name) for name in ("train", "test", "validation"))
    free += pictures.of("")
    test_images = min(level.test, test or round(SHARE * free))
    free -= 0 if test else test_images
    validation = min(MOST_VALIDATION, fixed or round(SHARE * free))
    train = min(level.train, free - (0 if fixed else validation))
    pool = min(free, 2 * (train + (0 if fixed else validation)))
    whole = ALL if test_images < level.test and not test else test_images  # copies of a picture count once
    return {"pool": pool, "test": whole, "validation": validation, "train": train}


def filters(side: int) -> list[int]:
    """Return the filters of as many blocks as leave maps of at most SMALLEST_MAP pixels."""
    blocks = next(n for n in itertools.count(2) if side // 2**n <= SMALLEST_MAP or n == len(FILTERS))
    return list(FILTERS[:blocks])


def curve_sizes(train: int, classes: int) -> list[int]:
    """Return a tenth and a third of the training images, as far as each class has two images."""
    return sorted({size for share in (10, 3) if (size := round(train / share)) >= 2 * classes})


def expected_seconds(params: Params, pictures: Inventory) -> dict[str, float]:
    """Return the expected seconds of each part of a run on the reference machine."""
    pixels, seeds, images = params.data.image_size**2, len(params.seeds), amounts(params, pictures)
    families = {"scratch": params.variants, "head": params.variants, "finetune": params.finetune.depths}
    models = {family: [params.model(family, name) for name in names] for family, names in families.items()}
    parts = {"prepare": pictures.decode_seconds * pictures.per_class.sum() * 2}
    parts["VGG16's features"] = PER_GMAC["features"] * VGG16_GMAC * pixels * (images["pool"] + images["test"])
    for family, title in (("scratch", "from scratch"), ("head", "on frozen VGG16"), ("finetune", "fine-tuning")):
        own = [model for model in models[family] if not model.obstacle]
        runs = sum(seeds + count_draws(model) for model in own)
        parts[title] = runs * seconds_of_training(params, family, images) + PER_STAGE * len(models[family])
    usual = sum(seconds_of_training(params, way, images) for way in ("scratch", "head"))  # as many updates
    curve = params.learning_curve
    parts["learning curve"] = len(curve.sizes) * (PER_STAGE + curve.repetitions * usual)
    return parts | {"report": PER_REPORT}


def amounts(params: Params, pictures: Inventory) -> dict[str, int]:
    """Return the images of the pool and of each split, about: copies and unusable files are not known yet."""
    data, free = params.data, pictures.of("train") + pictures.of("")
    fixed = {split: pictures.of(split) for split in ("test", "validation")}
    pool = _number(data.pool_images, free, [] if fixed["test"] else [data.test_images])
    train = _number(data.train_images, pool, [] if fixed["validation"] else [data.validation_images])
    return {
        "pool": pool,
        "train": train,
        "validation": _number(data.validation_images, fixed["validation"] or pool - train),
        "test": _number(data.test_images, fixed["test"] or free - pool),
    }


def _number(amount: Amount, available: int, others: Sequence[Amount] = ()) -> int:
    return max(1, available - sum(other for other in others if other != ALL)) if amount == ALL else amount


def seconds_of_training(params: Params, family: str, images: dict[str, int]) -> float:
    """Return the seconds of one training on the reference machine; `images` are the images of each split."""
    section, train = getattr(params, family), images["train"]
    measured = section.epochs / section.validation_freq * (images["train"] + images["validation"]) + 3 * images["test"]
    if family == "head":
        return PER_HEAD_UPDATE * (section.epochs * math.ceil(train / section.batch_size) + measured / 500)
    pixels = params.data.image_size**2
    gmac = scratch_gmac(params) if family == "scratch" else BLOCK5_GMAC * pixels
    return PER_GMAC[family] * gmac * (3 * section.epochs * train + measured)


def scratch_gmac(params: Params) -> float:
    """Return the billions of multiply-adds of one image through the convolutions from scratch."""
    side, before, total = params.data.image_size, 3, 0
    for own in params.scratch.filters:
        total += side**2 * 9 * (before * own + own * own)
        side, before = side // 2, own
    return total / 1e9


def count_draws(model: ModelSpec) -> int:
    """Return how many trainings the trials of a model take: all on one draw, the better half on the next."""
    left, draws = model.trials, 0
    for _ in range(TRIAL_DRAWS if left > 1 else 0):
        draws, left = draws + left, max(2, -(-left // 2))
    return draws


def slowness() -> float:
    """Return how many times as long as the reference machine this one takes, by the fastest of some matrix products."""
    matrix, seconds = np.ones((1024, 1024), np.float32), []
    while sum(seconds) < 2:  # a shorter one may fall into a busy moment
        begin = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - begin)
    return REFERENCE * min(seconds) / 1.024**3
