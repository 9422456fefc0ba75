"""Load the data sets that libraries bring: scikit-learn's handwritten digits, and CIFAR-10 through Keras."""

from collections.abc import Generator

import numpy as np
from PIL import Image
from sklearn import datasets

from fitgap.definitions.determinism import start_tensorflow
from fitgap.images.sources.collection import Collection, Picture
from fitgap.system import downloads

DIGITS = [str(digit) for digit in range(10)]
HIGHEST = 16  # the digits' grey levels run from 0 to 16
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def load_digits(image_size: int) -> Collection:
    """Load all 1,797 digits, enlarged from 8x8 to `image_size`: light strokes on black, three equal channels.

    A picture's name is "digits/" and its index in scikit-learn's data set. Source: E. Alpaydin, C. Kaynak, Optical
    Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998, doi:10.24432/C50P49 (its test set).
    """
    digits = datasets.load_digits()

    def pictures() -> Generator[Picture, None, None]:
        for index, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            grey = _resize(np.round(image * (255 / HIGHEST)).astype(np.uint8), image_size)
            yield Picture(f"digits/{index:04d}", int(label), np.repeat(grey[:, :, None], 3, axis=2))

    return Collection(DIGITS, len(digits.target), pictures)


def load_cifar10(image_size: int) -> Collection:
    """Load CIFAR-10: 60,000 photographs of 32x32 pixels, resized to `image_size`. The first call downloads it.

    A picture's name is its split and index in Keras's arrays: `train/00000` to `train/49999`, `test/0000` to
    `test/9999`. The official test images are used as test images only. Source: A. Krizhevsky, Learning Multiple Layers
    of Features from Tiny Images, 2009.

    Raises a UserError if the data is not in Keras's cache and cannot be downloaded.
    """
    start_tensorflow(seed=0)
    from keras.datasets import cifar10

    train, test = downloads.load_through_keras(downloads.CIFAR10, cifar10.load_data)
    splits = {"train": train, "test": test}

    def pictures() -> Generator[Picture, None, None]:
        for split, (images, labels) in splits.items():
            for index, (image, label) in enumerate(zip(images, labels[:, 0].tolist(), strict=True)):
                name = f"{split}/{index:0{len(str(len(labels) - 1))}d}"
                yield Picture(name, label, _resize(image, image_size), split)

    return Collection(CIFAR10, sum(len(labels) for _, labels in splits.values()), pictures)


def _resize(image: np.ndarray, image_size: int) -> np.ndarray:
    """Resize to a square; Pillow returns an image of this size unchanged."""
    image = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(image.resize((image_size, image_size), Image.Resampling.BICUBIC))
