"""Hand-written kernels on and off, side by side: `python -m bench.switch [ROUNDS]` prints how much slower "off" is.

Each round times both, one after the other; a line gives the median of the rounds' ratios. Updates only: neither
compilation nor evaluation counts.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from fitgap.definitions.determinism import start_tensorflow
from fitgap.params.reading import load_params
from fitgap.params.schema import Params

IMAGES, CLASSES, SIZE = 100, 10, 32
WARM_UP, UPDATES = 4, 24  # of pre-training; the difference is timed


def main(rounds: int = 3) -> None:
    """Print one line per training."""
    start_tensorflow(seed=0)
    params = load_params()
    trainings = {
        "scratch@batchnorm": lambda fast: time_training(params, "scratch", "batchnorm", fast),
        "finetune@block5": lambda fast: time_training(params, "finetune", "block5", fast),
        "finetune@block4": lambda fast: time_training(params, "finetune", "block4", fast),
        "pre-training": time_pretraining,
    }
    for name, seconds in trainings.items():
        print(f"{name}: {statistics.median(compare(seconds) for _ in range(rounds)):.2f} times as long without")


def compare(seconds: Callable[[bool], float]) -> float:
    """Return the seconds without hand-written kernels over the seconds with them."""
    return seconds(False) / seconds(True)


def time_training(params: Params, family: str, name: str, fast: bool) -> float:
    """Time an epoch of a training stage on random inputs, in seconds."""
    from fitgap.networks.assembly import Assembly
    from fitgap.training.trainer import Trainer

    model, assembly, random = params.model(family, name), Assembly(params, CLASSES), np.random.default_rng(0)
    network = assembly.build(model, seed=0)
    shape = (IMAGES, *network.input_shape[1:])
    examples = random.integers(0, 256, shape).astype(network.inputs[0].dtype), np.arange(IMAGES) % CLASSES
    trainer = Trainer(network, model.schedule.model_copy(update={"epochs": 3}), model.variant.active, fast)
    trainer.train(assembly.build(model, seed=0), examples, examples, seed=0)  # compiles
    trained = trainer.train(assembly.build(model, seed=0), examples, examples, seed=0)
    return IMAGES / trained.images_per_second


def time_pretraining(fast: bool) -> float:
    """Time updates of VGG16's pre-training on random images, in seconds."""
    few, many = (_pretrain(count, fast) for count in (WARM_UP, UPDATES))
    return many - few


def _pretrain(updates: int, fast: bool) -> float:
    from fitgap.backbone.pretraining import PretrainingSettings, pretrain

    settings, random = PretrainingSettings(kernels=fast), np.random.default_rng(0)
    count = updates * settings.batch_size
    images = random.integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)
    begin = time.perf_counter()
    pretrain(images, np.arange(count) % CLASSES, CLASSES, settings, seed=0)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
