"""The notebook way: the frozen VGG16 inside every epoch of every training, against training on cached features."""

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
    """What is trained on what; the rest is as params.yaml has it.

    Attributes
    ----------
    weights : the base's, in Keras's notop format
    training, validation, all_images : numbers of images; features are extracted of all
    epochs : of a pass; None: as many as params.yaml says
    """

    weights: Path
    training: int
    validation: int
    all_images: int
    epochs: int | None = None

    def images(self) -> np.ndarray:
        """Give all images, uint8 RGB."""
        return np.random.default_rng(0).integers(0, 256, (self.all_images, 32, 32, 3), np.uint8)

    def labels(self) -> np.ndarray:
        """Give a label for each image."""
        return np.random.default_rng(1).integers(0, CLASSES, self.all_images)

    def split(self, inputs: np.ndarray) -> tuple:
        """Give training and validation examples."""
        ends, labels = (self.training, self.training + self.validation), self.labels()
        return (inputs[: ends[0]], labels[: ends[0]]), (inputs[ends[0] : ends[1]], labels[ends[0] : ends[1]])


def heads(setting: Setting) -> list[Contestant]:
    """Give both ways to train heads."""
    return [Contestant("fitgap", partial(our_heads, setting)), Contestant("notebook", partial(notebook_head, setting))]


def finetunes(setting: Setting) -> list[Contestant]:
    """Give both ways to fine-tune block 5, and ours without what small_maps saves."""
    return [
        Contestant("fitgap", partial(our_finetune, setting)),
        Contestant(CONVOLUTIONS, partial(our_finetune, setting, largest=0)),
        Contestant("notebook", partial(notebook_finetune, setting)),
    ]


def our_heads(setting: Setting) -> Callable:
    """Extract the features once, then train one head per variant and seed, as the stages do, evaluation included."""
    from fitgap.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap import params
    from fitgap.networks.assembly import Assembly

    chosen = params.load()
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
    """Run the base over all images as the stage `features` does, without the files."""
    from fitgap.backbone import features

    step, size = features.forward(weights, images.shape[1], [layer], "float32"), features.batch_size(images.shape[1])
    return np.concatenate([step(images[start : start + size])[layer] for start in range(0, len(images), size)])


def _train_head(assembly, variant: str, split: tuple) -> None:
    from fitgap.training.loop import Trainer

    chosen = assembly.params
    seeds = chosen.seeds
    trainer = Trainer(assembly.head(variant, seeds[0]), chosen.head, chosen.learning_rate("head", variant))
    for seed in seeds:
        trainer.train(assembly.head(variant, seed), *split, seed)


def notebook_head(setting: Setting) -> Callable:
    """Train one head as tutorials do: `fit` on the whole network, its base frozen, with `validation_data`."""
    import keras

    from fitgap import params

    head = params.load().head
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
    """Fine-tune block 5 on cached features, as the stage does; say apart what the evaluation takes.

    `largest` is the side of the largest map whose convolutions are products, where it is not the stage's.
    """
    from fitgap.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap import params
    from fitgap.backbone.layers import freeze_point
    from fitgap.networks.assembly import Assembly
    from fitgap.training import small_maps
    from fitgap.training.loop import Trainer

    small_maps.LARGEST = small_maps.LARGEST if largest is None else largest
    chosen = params.load()
    finetune = chosen.finetune.model_copy(update={"epochs": setting.epochs or chosen.finetune.epochs})
    network = Assembly(chosen, CLASSES, setting.weights).finetune(DEPTH, seed=0)
    trainer, start = Trainer(network, finetune, finetune.learning_rate), network.get_weights()
    split = setting.split(_features(setting.weights, setting.images(), freeze_point(DEPTH)))

    def once() -> dict[str, float]:
        network.set_weights(start)
        trained = trainer.train(network, *split, seed=0)
        steps = finetune.epochs * setting.training / trained.images_per_second
        return {"training": steps / finetune.epochs, "epoch": trained.seconds / finetune.epochs}

    once()
    return once


def notebook_finetune(setting: Setting) -> Callable:
    """Fine-tune block 5 as tutorials do: `fit` on the whole network, the blocks below frozen but run every time."""
    import keras

    from fitgap import params

    chosen = params.load()
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
    """Fine-tune both ways on the same batches; give the largest relative difference of a trained layer's weights.

    On the pipeline's own images (`data` is data/prepared): on noise, which nothing can be learned from, a network turns
    differences of rounding into others within an epoch.
    """
    from fitgap.determinism import start_tensorflow

    start_tensorflow(seed=0)
    import keras

    from fitgap import params
    from fitgap.backbone import vgg16
    from fitgap.backbone.layers import freeze_point
    from fitgap.images import prepared
    from fitgap.networks.assembly import Assembly
    from fitgap.training.loop import Trainer

    chosen, images, below = params.load(), prepared.read(data), freeze_point(DEPTH)
    assembly = Assembly(chosen, len(images.class_names), weights)
    upper, other = assembly.finetune(DEPTH, 0), assembly.finetune(DEPTH, 0)
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    whole = keras.Model(inputs, vgg16.apply([*vgg16.frozen_layers(weights, 32, below), *other.layers[1:]], inputs))
    for network, given in ((upper, _features(weights, images.images, below)), (whole, images.images)):
        splits, trainer = images.with_labels(given), Trainer(network, chosen.finetune, chosen.finetune.learning_rate)
        trainer.train(network, splits["train"], splits["validation"], seed=0)
    pairs = zip(upper.trainable_weights, whole.trainable_weights, strict=True)
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in ((x.numpy(), y.numpy()) for x, y in pairs))
