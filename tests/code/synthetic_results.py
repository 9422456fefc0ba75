"""Synthetic results of stages, built from a few numbers, for tests of the code that reads results."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from fitgap.claims.study import Study
from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Record, Result
from fitgap.definitions.measurements import MOMENTS, name_at
from fitgap.definitions.vgg16_layers import BLOCKS, POOLS
from fitgap.params.reading import load_params
from fitgap.params.schema import Params

SEEDS = [0, 1, 2]
LISTS = ("filters", "depths")  # values that are lists without being candidates
SHIPPED = Path(__file__).parents[2] / "params.yaml"
# family/variant -> accuracy at the end, final training loss, rise of the validation loss after its best epoch
CHARACTERS = {
    "baseline": (0.92, 0.004, 0.35),
    "dropout": (0.95, 0.08, 0.02),
    "batchnorm": (0.945, 0.002, 0.33),
    "l1": (0.925, 0.05, 0.2),
    "l2": (0.93, 0.04, 0.16),
    "elasticnet": (0.93, 0.06, 0.15),
}
SHIFT = {"scratch": 0.0, "highrate": 0.0, "head": -0.06, "finetune": 0.035}
AT_HIGH_RATE = {"baseline": (0.11, 2.3, 0.0), "batchnorm": (0.935, 0.002, 0.3)}
PROBES = (0.85, 0.93, 0.96, 0.95, 0.87)  # accuracy by block
# way -> accuracy with 10, 100 and 400 training images; in between by the logarithm
BY_SIZE = {"scratch": (0.3, 0.92, 0.985), "borrowed": (0.72, 0.955, 0.96)}
KNOTS = (10, 100, 400)


def params(**changes) -> Params:
    """Return the shipped params for 3 seeds with dotted keys changed, e.g. `params(**{"backbone.weights": "none"})`.

    Of candidates, the first is taken, so that models have no trials.
    """
    tree = load_params(SHIPPED).model_dump()
    for section in (tree["scratch"], tree["head"], tree["finetune"], *tree["variants"].values()):
        section |= {"validation_freq": 1} if "validation_freq" in section else {}
        section |= {key: own[0] for key, own in section.items() if isinstance(own, list) and key not in LISTS}
    tree["seeds"], tree["learning_curve"] = SEEDS, {"sizes": [20, 50, 200, 400], "repetitions": len(SEEDS)}
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place[section]
        place[last] = value
    return Params.model_validate(yaml.safe_load(yaml.safe_dump(tree, sort_keys=False)))


def prepared(class_names=None, images: int = 800) -> PreparedImages:
    """Return small noise images with a bright bar at a position that encodes the class; half are for testing."""
    names = class_names or [str(digit) for digit in range(10)]
    random = np.random.default_rng(0)
    labels = np.arange(images, dtype=np.int64) % len(names)
    pixels = random.integers(0, 90, (images, 32, 32, 3), dtype=np.uint8)
    for pixel, label in zip(pixels, labels, strict=True):
        pixel[:, 3 * label : 3 * label + 3] = 220
    half = images // 2
    rows = {"pool": slice(0, half), "validation": slice(half, half), "test": slice(half, images)}
    about = {"source": "digits", "digest": "0" * 64, "duplicates": 0, "near_duplicates": 0}
    return PreparedImages(pixels, labels, names, rows, about, np.arange(images))


def curves(random, accuracy: float, floor: float, rise: float, epochs: int) -> pd.DataFrame:
    """Return one seed's history: training loss falls to `floor`, validation loss finally rises by `rise`."""
    epoch = np.arange(1, epochs + 1)
    falling = 2.3 * np.exp(-epoch / (epochs / 6))
    train = falling + floor * (1 + 0.1 * random.normal(size=epochs))
    validation = falling + 2.8 * (1 - accuracy) + rise * (epoch / epochs) ** 2 + 0.015 * random.normal(size=epochs)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "train_loss": np.abs(train),
            "train_accuracy": 1 - 0.9 * np.exp(-epoch / (epochs / 8)),
            "val_loss": validation,
            "val_accuracy": np.clip(accuracy - 0.85 * np.exp(-epoch / (epochs / 8)), 0, 1),
            "objective": np.abs(train) + 0.1,
            "penalty": np.full(epochs, 0.1),
            "weight_norm": 20 + rise * 10 * epoch / epochs + random.normal(scale=0.1, size=epochs),
        }
    )


def measurements(history: pd.DataFrame) -> dict[str, float]:
    """Return one seed's measurements from its history, like a training stage."""
    best, peak = history.loc[history["val_loss"].idxmin()], history.loc[history["val_accuracy"].idxmax()]
    last = history.iloc[-1]
    found = {"epochs_to_best": int(best["epoch"]), "epochs_to_peak": int(peak["epoch"])}
    for when, row in (("best", best), ("peak", peak), ("last", last)):
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy"):
            found[f"{name}_{when}"] = float(row[name])
        found[f"gap_{when}"] = float(row["val_loss"] - row["train_loss"])
        found[f"accuracy_gap_{when}"] = float(row["train_accuracy"] - row["val_accuracy"])
    return {**found, "weight_norm_last": float(last["weight_norm"]), "updates": 4 * len(history)}


def probabilities(random, labels: np.ndarray, classes: int, accuracy: float, seeds: int) -> np.ndarray:
    """Return predictions with about this accuracy; hard images are hard for every seed."""
    ease = random.normal(size=len(labels))
    score = ease + random.normal(scale=0.7, size=(seeds, len(labels)))
    right = score > np.quantile(score, 1 - accuracy)
    wrong = (labels + 1 + random.integers(0, classes - 1, right.shape)) % classes
    answers = np.where(right, labels, wrong)
    given = np.full((*right.shape, classes), 0.2 / classes, dtype=np.float32)
    np.put_along_axis(given, answers[..., None], np.float32(0.8), axis=-1)
    return given / given.sum(axis=-1, keepdims=True)


def model(stage: str, variant: str, data: PreparedImages, seeds=(0, 1, 2), epochs=30, character=None) -> Result:
    """Return the result of a training stage; its answers to the test are the same at each moment."""
    accuracy, floor, rise = character or CHARACTERS.get(variant, CHARACTERS["baseline"])
    accuracy = min(accuracy + SHIFT[stage], 0.99)
    random = np.random.default_rng([sum(map(ord, f"{stage}@{variant}")), len(seeds)])
    histories = [curves(random, accuracy + 0.003 * random.normal(), floor, rise, epochs) for _ in seeds]
    labels = data.part("test")[1]
    given = probabilities(random, labels, len(data.class_names), accuracy, len(seeds))
    measured = [measurements(history) for history in histories]
    for row, answers in zip(measured, given, strict=True):
        accuracy = float((answers.argmax(axis=-1) == labels).mean())
        loss = float(-np.log(answers[np.arange(len(labels)), labels]).mean())
        row |= {name_at("test_accuracy", moment): accuracy for moment in MOMENTS}
        row |= {name_at("test_loss", moment): loss for moment in MOMENTS}
    history = pd.concat([h.assign(seed=seed) for seed, h in zip(seeds, histories, strict=True)])
    record = {
        "stage": stage,
        "variant": variant,
        "params": {f"{stage}.epochs": epochs},
        "inputs": {"prepared": data.identity},
        "classes": data.class_names,
        "moments": list(MOMENTS),
        "parameters": {"total": 812_000, "trainable": 812_000, "frozen": 0},
        "best_seed": seeds[0],
        "seeds": [{"seed": seed, **row} for seed, row in zip(seeds, measured, strict=True)],
    }
    columns = ["seed", *[name for name in history if name != "seed"]]
    return Result(Record(**record), history[columns].reset_index(drop=True), given, np.stack([given, given]))


def with_trials(study: Study, name="scratch@dropout", losses=(0.5, 0.3, 0.4), chosen=2, **choice) -> Study:
    """Return the study with trials of a model, of which the two best reach the third draw; by default of dropout."""
    result, choice = study.results[name], choice or {"dropout": 0.3, "learning_rate": 0.002}
    tried = [range(len(losses)), *[np.argsort(losses)[:2]] * 2]
    rows = [
        {"trial": n + 1, "draw": 7 + draw, "rank": n, "val_loss_best": losses[n], "val_loss_last": losses[n] + 0.1}
        | {"train_loss_last": 0.1, "val_accuracy_best": 0.9, "val_accuracy_last": 0.9, "train_accuracy_last": 1.0}
        for draw in (0, 1, 2)
        for n in tried[draw]
    ]
    record = replace(result.record, choice=choice, chosen_trial=chosen, params=result.record.params | choice)
    return replace(study, results=study.results | {name: replace(result, record=record, trials=pd.DataFrame(rows))})


def probe(data: PreparedImages, seeds=(0, 1, 2)) -> Result:
    """Return the result of linear probes: one on each block for each seed."""
    random, labels = np.random.default_rng(2), data.part("test")[1]
    given = np.stack([probabilities(random, labels, len(data.class_names), share, len(seeds)) for share in PROBES])
    accuracies = (given.argmax(axis=-1) == labels).mean(axis=-1)
    rows = [
        {
            **{"block": block, "seed": seed, "val_loss": 1 - share, "val_accuracy": share},
            "test_accuracy": accuracies[block - 1, place],
        }
        for block, share in enumerate(PROBES, start=1)
        for place, seed in enumerate(seeds)
    ]
    record = {"stage": "probe", "variant": None, "params": {}, "inputs": {"prepared": data.identity}}
    measured = {f"val_accuracy_{block}": share for block, share in zip(BLOCKS, PROBES, strict=True)}
    measured |= {f"test_accuracy_{block}": float(right.mean()) for block, right in zip(BLOCKS, accuracies, strict=True)}
    return Result(Record(**record, measured=measured, layers=list(POOLS)), pd.DataFrame(rows), given)


def curve_point(size: int, data: PreparedImages, seeds=(0, 1, 2)) -> Result:
    """Return the result of learning_curve@SIZE."""
    random, labels = np.random.default_rng(size), data.part("test")[1]
    shares = {way: float(np.interp(np.log(size), np.log(KNOTS), knots)) for way, knots in BY_SIZE.items()}
    given = np.stack([probabilities(random, labels, len(data.class_names), s, len(seeds)) for s in shares.values()])
    history = pd.DataFrame({"train_images": size, "seed": seeds})
    for way, answers in zip(shares, given, strict=True):
        history[f"{way}_test_accuracy"] = (answers.argmax(axis=-1) == labels).mean(axis=-1)
    names = {"scratch": "scratch@dropout", "borrowed": "finetune@block5"}
    record = {"stage": "learning_curve", "variant": str(size), "params": {"train_images": size, **names}}
    record |= {"inputs": {"prepared": data.identity}, "classes": data.class_names}
    return Result(Record(**record, ways=list(shares)), history, given)


def asis(data: PreparedImages, weights: str = "glyphs") -> Result:
    """Return the result of way 1: one network, 36 source classes of which the first ten are digits."""
    record = {"stage": "asis", "variant": None, "params": {}, "inputs": {"prepared": data.identity}}
    if weights == "none":
        record |= {"measured": {}, "not_applicable": "random weights have no classifier of their own"}
        return Result(Record(**record), test_probabilities=np.empty((0, 0, 0), np.float32))
    labels, classes = data.part("test")[1], [*data.class_names, *(f"other{i}" for i in range(26))]
    given = probabilities(np.random.default_rng(1), labels, len(classes), 0.4, 1)
    right = float((given[0].argmax(axis=-1) == labels).mean())
    known = len(data.class_names)
    record |= {
        "classes": classes,
        "parameters": {"total": 14_733_000, "trainable": 0, "frozen": 14_733_000},
        "seeds": [{"seed": 0, "test_accuracy": right}],
        "measured": {
            "accuracy_all_classes": right,
            "accuracy_known_classes": float((given[0][:, :known].argmax(axis=-1) == labels).mean()),
            "known_classes": known,
            "coverage": 1.0,
            "source_classes": len(classes),
        },
    }
    return Result(Record(**record), None, given)


def times(result: Result) -> dict:
    """Return wall times in the format of `timings.load`."""
    seconds = {"scratch": 9.0, "head": 1.4, "finetune": 12.0}.get(result.record.stage)
    by_seed = {str(seed): seconds + 0.1 * seed for seed in result.seeds.index} if seconds else {}
    return {"stage_seconds": 2.0, "seed_seconds": by_seed, "rates": {"images_per_second": 900.0}}


def study(settings: Params | None = None, data: PreparedImages | None = None, seeds=None, **characters) -> Study:
    """Return a complete study; `characters` overrides the defaults of variants."""
    settings, data = settings or params(), data or prepared()
    if seeds:
        curve = settings.learning_curve.model_copy(update={"repetitions": len(seeds)})
        settings = settings.model_copy(update={"seeds": list(seeds), "learning_curve": curve})
    seeds = tuple(settings.seeds)
    found = [
        model(stage, variant, data, seeds, getattr(settings, stage).epochs, characters.get(variant))
        for stage in ("scratch", "head")
        for variant in settings.variants
        if f"{stage}@{variant}" not in settings.without_model
    ]
    found += [model("finetune", depth, data, seeds, settings.finetune.epochs) for depth in settings.finetune.depths]
    high = settings.highrate.variants
    found += [model("highrate", name, data, seeds, settings.scratch.epochs, AT_HIGH_RATE[name]) for name in high]
    found.append(asis(data, settings.backbone.weights))
    found += [
        probe(data, seeds),
        *(curve_point(size, data, settings.curve_seeds) for size in settings.learning_curve.sizes),
    ]
    return Study.gather(settings, found, data, {result.name: times(result) for result in found})
