"""Load CIFAR-10 through Keras's loader and cache: 60,000 photographs of 32x32 pixels in ten classes.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. The official test images
are used as test images only.
"""

from collections.abc import Generator

import numpy as np
from PIL import Image

from fitgap.definitions.determinism import start_tensorflow
from fitgap.images.sources.collection import Collection, Picture
from fitgap.system import downloads

CLASS_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SIDE = 32


def load(image_size: int) -> Collection:
    """Load all of CIFAR-10, resized to `image_size` if that is not 32. The first call downloads it.

    A picture's name is its split and index in Keras's arrays: `train/00000` to `train/49999`, `test/0000` to
    `test/9999`.

    Raises
    ------
    UserError
        If the data is not in Keras's cache and cannot be downloaded.
    """
    start_tensorflow(seed=0)
    from keras.datasets import cifar10

    train, test = downloads.load_through_keras(downloads.CIFAR10, cifar10.load_data)
    splits = {"train": train, "test": test}

    def pictures() -> Generator[Picture, None, None]:
        for split, (images, labels) in splits.items():
            for index, (image, label) in enumerate(zip(images, labels[:, 0].tolist(), strict=True)):
                name = f"{split}/{index:0{len(str(len(labels) - 1))}d}"
                yield Picture(name, label, _enlarged(image, image_size), split)

    return Collection(CLASS_NAMES, sum(len(labels) for _, labels in splits.values()), pictures)


def _enlarged(image: np.ndarray, image_size: int) -> np.ndarray:
    image = np.ascontiguousarray(image)
    if image_size == SIDE:
        return image
    return np.asarray(Image.fromarray(image).resize((image_size, image_size), Image.Resampling.BICUBIC))
