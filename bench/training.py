"""Training from scratch: the notes' network in fitgap, Keras and PyTorch, on the same data."""

import time
from collections.abc import Callable

import numpy as np

from bench.side_by_side import Contestant
from fitgap.params.reading import load_params

SIZE, CLASSES, BATCH = 32, 10, 32
WITHOUT_ONEDNN = "fitgap, without oneDNN"
TRAINING, VALIDATION, EPOCHS = 1024, 512, 2  # images, images, epochs of a pass


def contestants() -> list[Contestant]:
    """Return the contestants for training the notes' network: no remedies, Adam, float32."""
    return [
        Contestant("fitgap", ours),
        Contestant(WITHOUT_ONEDNN, ours, (("TF_ENABLE_ONEDNN_OPTS", "0"),)),
        Contestant("Keras `fit`", keras_fit),
        Contestant("PyTorch, channels last", pytorch),
    ]


def examples(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images, uint8 RGB (count, SIZE, SIZE, 3), and random labels."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8), rng.integers(0, CLASSES, count)


def _network():
    from fitgap.networks import architectures
    from fitgap.params.variants import Variant

    chosen = load_params()
    return architectures.build_cnn(SIZE, CLASSES, chosen.scratch, Variant(), seed=0)


def ours(evaluated: bool = True) -> Callable:
    """Train like the stage `scratch`; measure the evaluation separately, or skip it if not `evaluated`."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(seed=0)
    from fitgap.params.schema import Training
    from fitgap.training.trainer import Trainer

    trainer = Trainer(_network(), Training(epochs=EPOCHS, batch_size=BATCH, learning_rate=1e-3))
    if not evaluated:
        trainer.evaluator.loss_and_accuracy = lambda *_: (0.0, 0.0)
    training, validation, start = examples(TRAINING), examples(VALIDATION), _network()

    def once() -> dict[str, float]:
        trained = trainer.train(start, training, validation, seed=0)
        steps = EPOCHS * TRAINING / trained.images_per_second
        return {
            "images_per_second": trained.images_per_second,
            "epoch": trained.seconds / EPOCHS,
            "evaluation": (trained.seconds - steps) / EPOCHS,
        }

    once()
    return once


def keras_fit() -> Callable:
    """Train as tutorials do: `fit` on arrays, one update at a time."""
    import keras

    network, (inputs, labels) = _network(), examples(TRAINING)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])

    def once() -> dict[str, float]:
        begin = time.perf_counter()
        network.fit(inputs, labels, BATCH, EPOCHS, verbose=0)
        return {"images_per_second": EPOCHS * TRAINING / (time.perf_counter() - begin)}

    once()
    return once


def pytorch() -> Callable:
    """Train with PyTorch, channels last, with the data in memory and without reading the loss in between."""
    import torch

    from bench.torch_networks import notes_network
    from fitgap.params.reading import load_params

    scratch = load_params().scratch
    network = notes_network(SIZE, CLASSES, scratch.filters, scratch.dense_units)
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, eps=1e-7)
    loss = torch.nn.CrossEntropyLoss()
    images, labels = examples(TRAINING)
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2)  # channels last in memory, as the images are
    targets = torch.from_numpy(labels)

    def once() -> dict[str, float]:
        begin = time.perf_counter()
        for _ in range(EPOCHS):
            for rows in torch.randperm(TRAINING).split(BATCH):
                optimizer.zero_grad(set_to_none=True)
                loss(network(inputs[rows].float() / 255), targets[rows]).backward()
                optimizer.step()
        return {"images_per_second": EPOCHS * TRAINING / (time.perf_counter() - begin)}

    once()
    return once
