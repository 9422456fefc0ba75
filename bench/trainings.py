"""One training: fitgap's, Keras's `fit` as tutorials call it, and PyTorch's; on random images and labels.

A training is what params.yaml says, with the evaluation of the validation images after every epoch. fitgap evaluates
the training images as well, and its seconds include that.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import arithmetic
from bench.race import OURS, Pass, race, timed
from fitgap.definitions.vgg16_layers import freeze_point, layers_between
from fitgap.params.reading import load_params
from fitgap.params.schema import ModelSpec, Params

CLASSES = 10
NOTEBOOK, TORCH = "the notebook way", "PyTorch"
FEW = 2  # epochs of the notebook way that are measured; all do the same work
LARGE = {"filters": [32, 64, 128], "dense_units": 256, "batch_size": 32, "epochs": 1}  # `make notes`, fewer epochs
LARGE_IMAGES = {"train_images": 1024, "validation_images": 512}


def large(params: Params) -> Params:
    """Return params with the network of settings/notes.yaml and more images."""
    data = params.data.model_copy(update=LARGE_IMAGES)
    return params.model_copy(update={"data": data, "scratch": params.scratch.model_copy(update=LARGE)})


def measure(_folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure a head, fine-tuning and training from scratch; `trainings` is how many the default pipeline has."""
    params, seeds = load_params(), len(load_params().seeds)
    of = {family: len(names) * seeds for family, names in arithmetic.models(params).items()}
    depths = [("finetune", depth, f"VGG16 from {depth} on", seeds) for depth in params.finetune.depths]
    return [
        _compare(params, "head", "baseline", "a head on frozen VGG16", of["head"], rounds),
        *(_compare(params, *depth, rounds) for depth in depths),
        _compare(params, "scratch", "baseline", "from scratch", of["scratch"] + of["highrate"], rounds),
        _compare(large(params), "scratch", "baseline", "from scratch, `make notes`", 0, rounds),
    ]


def _compare(params: Params, family: str, name: str, what: str, trainings: int, rounds: int) -> dict[str, Any]:
    others = {"Keras `fit`": keras_fit, TORCH: pytorch} if family == "scratch" else {NOTEBOOK: keras_fit}
    contestants = {who: partial(make, params, family, name) for who, make in {OURS: ours, **others}.items()}
    epochs, rows = specify(params, family, name).schedule.epochs, race(contestants, rounds, what)
    return {
        "what": f"training {what}: {params.data.train_images:,} images, {epochs} epoch{'s' * (epochs > 1)}",
        "trainings": trainings,
        "rows": [{**row, "seconds": row["seconds"] * epochs / row.get("epochs", epochs)} for row in rows],
    }


def _splits(params: Params, shape: tuple[int, ...], dtype: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return training and validation examples: random inputs, 0 to 255, and labels."""
    random, counts = np.random.default_rng(0), (params.data.train_images, params.data.validation_images)
    return [(random.integers(0, 256, (count, *shape)).astype(dtype), np.arange(count) % CLASSES) for count in counts]


def ours(params: Params, family: str, name: str, fast: bool = True) -> Pass:
    """Train like the stages; `fast` says whether with hand-written kernels."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    model = specify(params, family, name)
    return train_network(params, _builder(params, family, name), model.schedule, model.variant.active, fast)


def specify(params: Params, family: str, name: str) -> ModelSpec:
    """Return the specification of a model with the middle one of each key's candidates."""
    candidates = params.model(family, name).candidates
    return params.model(family, name, {key: values[len(values) // 2] for key, values in candidates.items()})


def _builder(params: Params, family: str, name: str) -> Callable:
    from fitgap.networks.assembly import Assembly

    return partial(Assembly(params.data.image_size, CLASSES).build, specify(params, family, name), seed=0)


def train_network(params: Params, build: Callable, schedule, remedies=(), fast: bool = True) -> Pass:
    """Train a network that `build` returns, on random inputs of its shape; measure `updates` on their own, too."""
    from fitgap.training.trainer import TrainedModel, Trainer

    network, start = build(), build()
    training, validation = _splits(params, network.input_shape[1:], network.inputs[0].dtype)
    trainer, count = Trainer(network, schedule, remedies, fast), len(training[1])
    adds = arithmetic.training(network, schedule.epochs, count, count + len(validation[1]))

    def describe(trained: TrainedModel) -> dict[str, float]:
        return {"updates": schedule.epochs * count / trained.images_per_second, "multiply_adds": adds}

    return timed(lambda: trainer.train(start, training, validation, seed=0), describe)


def keras_fit(params: Params, family: str, name: str) -> Pass:
    """Train as tutorials do: `fit` on arrays of images, with `validation_data` and Keras's defaults."""
    import keras

    schedule, size = specify(params, family, name).schedule, params.data.image_size
    is_whole = family != "scratch"
    network = _whole_vgg16(params, family, name) if is_whole else _builder(params, family, name)()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(schedule.learning_rate), loss, metrics=["accuracy"])
    training, validation = _splits(params, (size, size, 3), "float32")
    measured = {
        "epochs": FEW if is_whole else schedule.epochs,
        "multiply_adds": arithmetic.training(network, schedule.epochs, len(training[1]), len(validation[1])),
    }
    options = {"verbose": 0, "validation_data": validation}
    return timed(lambda: network.fit(*training, schedule.batch_size, measured["epochs"], **options), lambda _: measured)


def _whole_vgg16(params: Params, family: str, name: str):
    """Build VGG16 with a new classifier, frozen below the depth `name`, or wholly for a head."""
    import keras

    size = params.data.image_size
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(size, size, 3))
    trained = () if family == "head" else layers_between(freeze_point(name), params.head.layer)
    for layer in base.layers:
        layer.trainable = layer.name in trained
    top = [keras.layers.Dense(params.head.dense_units, "relu"), keras.layers.Dense(CLASSES)]
    return keras.Sequential([base, keras.layers.Flatten(), *top])


def pytorch(params: Params, family: str, name: str) -> Pass:
    """Train the notes' network without remedies with PyTorch, channels last, with the data in memory."""
    import torch

    from bench.peers import notes_network

    schedule, size = params.scratch, params.data.image_size
    network = notes_network(size, CLASSES, schedule.filters, schedule.dense_units)
    optimizer = torch.optim.Adam(network.parameters(), schedule.learning_rate, eps=1e-7)
    loss = torch.nn.CrossEntropyLoss()
    splits = [map(torch.from_numpy, split) for split in _splits(params, (size, size, 3), "uint8")]
    (images, labels), (unseen, of_unseen) = [(inputs.permute(0, 3, 1, 2), of) for inputs, of in splits]
    adds = arithmetic.training(_builder(params, family, name)(), schedule.epochs, len(labels), len(of_unseen))

    def train() -> None:
        for _ in range(schedule.epochs):
            for rows in torch.randperm(len(labels)).split(schedule.batch_size):
                optimizer.zero_grad(set_to_none=True)
                loss(network(images[rows].float() / 255), labels[rows]).backward()
                optimizer.step()
            with torch.inference_mode():
                loss(network(unseen.float() / 255), of_unseen).item()

    return timed(train, lambda _: {"multiply_adds": adds})
