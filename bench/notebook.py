"""Compare training on cached features with the notebook way, which runs the frozen VGG16 in every epoch."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.side_by_side import Contestant

CLASSES, DEPTH = 10, "block5"
CONVOLUTIONS = "fitgap, convolutions throughout"


@dataclass(frozen=True)
class Setting:
    """Weights and numbers of images of a benchmark; all other settings come from params.yaml.

    Attributes
    ----------
    weights : of the base, in Keras's notop format
    training, validation, all_images : numbers of images; features are extracted for all of them
    epochs : per pass; None: as in params.yaml
    """

    weights: Path
    training: int
    validation: int
    all_images: int
    epochs: int | None = None

    def images(self) -> np.ndarray:
        """Return random images: uint8 RGB, (all_images, 32, 32, 3)."""
        return np.random.default_rng(0).integers(0, 256, (self.all_images, 32, 32, 3), np.uint8)

    def labels(self) -> np.ndarray:
        """Return a random label for each image."""
        return np.random.default_rng(1).integers(0, CLASSES, self.all_images)

    def split(self, inputs: np.ndarray) -> tuple:
        """Return training and validation examples: two pairs (inputs, labels)."""
        ends, labels = (self.training, self.training + self.validation), self.labels()
        return (inputs[: ends[0]], labels[: ends[0]]), (inputs[ends[0] : ends[1]], labels[ends[0] : ends[1]])


def heads(setting: Setting) -> list[Contestant]:
    """Return the contestants for training heads."""
    return [Contestant("fitgap", partial(our_heads, setting)), Contestant("notebook", partial(notebook_head, setting))]


def finetunes(setting: Setting) -> list[Contestant]:
    """Return the contestants for fine-tuning block 5, including fitgap without the kernels for small feature maps."""
    return [
        Contestant("fitgap", partial(our_finetune, setting)),
        Contestant(CONVOLUTIONS, partial(our_finetune, setting, largest=0)),
        Contestant("notebook", partial(notebook_finetune, setting)),
    ]


def our_heads(setting: Setting) -> Callable:
    """Extract the features once, then train one head per variant and seed like the stages, including evaluation."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.networks.assembly import Assembly
    from fitgap.params.reading import load_params

    chosen = load_params()
    assembly, images = Assembly(chosen, CLASSES, setting.weights), setting.images()

    def once() -> dict[str, float]:
        begin = time.perf_counter()
        features = _features(setting.weights, images, chosen.head.layer)
        extraction = time.perf_counter() - begin
        for variant in chosen.variants:
            _train_head(assembly, variant, setting.split(features))
        return {"seconds": time.perf_counter() - begin, "extraction": extraction}

    return once


def _features(weights: Path, images: np.ndarray, layer: str) -> np.ndarray:
    """Run the base over all images like the stage `features`, without writing files."""
    from fitgap.backbone import features

    step, size = (
        features.compile_frozen_base(weights, images.shape[1], [layer], "float32"),
        features.batch_size(images.shape[1]),
    )
    return np.concatenate([step(images[start : start + size])[layer] for start in range(0, len(images), size)])


def _train_head(assembly, variant: str, split: tuple) -> None:
    from fitgap.training.trainer import Trainer

    chosen = assembly.params
    seeds, model = chosen.seeds, chosen.model("head", variant)
    trainer = Trainer(assembly.head(model.variant, seeds[0]), model.schedule)
    for seed in seeds:
        trainer.train(assembly.head(model.variant, seed), *split, seed)


def notebook_head(setting: Setting) -> Callable:
    """Train one head as tutorials do: `fit` on the whole network with a frozen base and `validation_data`."""
    import keras

    from fitgap.params.reading import load_params

    head = load_params().head
    base = keras.applications.VGG16(include_top=False, weights=str(setting.weights), input_shape=(32, 32, 3))
    base.trainable = False
    training, validation = setting.split(_preprocessed(setting.images()))

    def once() -> dict[str, float]:
        top = [keras.layers.Flatten(), keras.layers.Dense(head.dense_units, "relu"), keras.layers.Dense(CLASSES)]
        network = _compiled(keras.Sequential([base, *top]), head.learning_rate)
        begin = time.perf_counter()
        network.fit(*training, head.batch_size, head.epochs, verbose=0, validation_data=validation)
        return {"seconds": time.perf_counter() - begin}

    return once


def our_finetune(setting: Setting, largest: int | None = None) -> Callable:
    """Fine-tune block 5 on cached features like the stage; measure an epoch with and without its evaluation.

    `largest` overrides the side of the largest feature map on which convolutions run as im2col products.
    """
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.definitions.vgg16_layers import freeze_point
    from fitgap.networks import kernels
    from fitgap.networks.assembly import Assembly
    from fitgap.params.reading import load_params
    from fitgap.training.trainer import Trainer

    kernels.LARGEST_SIDE = kernels.LARGEST_SIDE if largest is None else largest
    chosen = load_params()
    finetune = chosen.finetune.model_copy(update={"epochs": setting.epochs or chosen.finetune.epochs})
    network = Assembly(chosen, CLASSES, setting.weights).finetune(DEPTH, chosen.variant(chosen.finetune.head), seed=0)
    trainer, start = Trainer(network, finetune), network.get_weights()
    split = setting.split(_features(setting.weights, setting.images(), freeze_point(DEPTH)))

    def once() -> dict[str, float]:
        network.set_weights(start)
        trained = trainer.train(network, *split, seed=0)
        steps = finetune.epochs * setting.training / trained.images_per_second
        return {"training": steps / finetune.epochs, "epoch": trained.seconds / finetune.epochs}

    once()
    return once


def notebook_finetune(setting: Setting) -> Callable:
    """Fine-tune block 5 as tutorials do: `fit` on the whole network, which runs the frozen blocks in every step."""
    import keras

    from fitgap.params.reading import load_params

    chosen = load_params()
    epochs = setting.epochs or chosen.finetune.epochs
    base = keras.applications.VGG16(include_top=False, weights=str(setting.weights), input_shape=(32, 32, 3))
    for layer in base.layers:
        layer.trainable = layer.name.startswith(DEPTH)
    top = [keras.layers.Flatten(), keras.layers.Dense(chosen.head.dense_units, "relu"), keras.layers.Dense(CLASSES)]
    network = _compiled(keras.Sequential([base, *top]), chosen.finetune.learning_rate)
    training, validation = setting.split(_preprocessed(setting.images()))

    def timed(**more) -> float:
        begin = time.perf_counter()
        network.fit(*training, chosen.finetune.batch_size, epochs, verbose=0, **more)
        return (time.perf_counter() - begin) / epochs

    def once() -> dict[str, float]:
        return {"training": timed(), "epoch": timed(validation_data=validation)}

    once()
    return once


def _preprocessed(images: np.ndarray) -> np.ndarray:
    from keras.applications import vgg16

    return vgg16.preprocess_input(images.astype(np.float32))


def _compiled(network, learning_rate: float):
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(learning_rate), loss, metrics=["accuracy"])
    return network


def largest_difference(weights: Path, data: Path) -> float:
    """Fine-tune both ways on the same batches; return the largest relative difference of a layer's trained weights.

    Use the pipeline's images (`data` is data/prepared): on noise, training amplifies rounding differences within an
    epoch.
    """
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    import keras

    from fitgap.data import prepared
    from fitgap.data.draws import draw_rows, examples_of
    from fitgap.definitions.vgg16_layers import freeze_point
    from fitgap.networks import vgg16
    from fitgap.networks.assembly import Assembly
    from fitgap.params.reading import load_params
    from fitgap.training.trainer import Trainer

    chosen, images, below = load_params(), prepared.read_prepared(data), freeze_point(DEPTH)
    assembly = Assembly(chosen, len(images.class_names), weights)
    upper, other = (assembly.finetune(DEPTH, chosen.variant(chosen.finetune.head), 0) for _ in range(2))
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    whole = keras.Model(
        inputs, vgg16.apply_layers([*vgg16.frozen_layers(weights, 32, below), *other.layers[1:]], inputs)
    )
    for network, given in ((upper, _features(weights, images.images, below)), (whole, images.images)):
        splits = examples_of(images, given, draw_rows(images, chosen.data, seed=0))
        trainer = Trainer(network, chosen.finetune)
        trainer.train(network, splits["train"], splits["validation"], seed=0)
    pairs = zip(upper.trainable_weights, whole.trainable_weights, strict=True)
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in ((x.numpy(), y.numpy()) for x, y in pairs))
