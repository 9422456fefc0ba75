"""Load the default images: the handwritten digits included in scikit-learn.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
1998, doi:10.24432/C50P49 (its test set, as returned by `sklearn.datasets.load_digits`).
"""

from collections.abc import Generator

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from fitgap.images.sources.collection import Collection, Picture

CLASS_NAMES = [str(digit) for digit in range(10)]
HIGHEST = 16  # the digits' grey levels run from 0 to 16


def load(image_size: int) -> Collection:
    """Load all 1,797 digits, enlarged from 8x8 to `image_size`: light strokes on black, three equal channels.

    A picture's name is "digits/" and its index in scikit-learn's data set.
    """
    digits = load_digits()

    def pictures() -> Generator[Picture, None, None]:
        for index, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            yield Picture(f"digits/{index:04d}", int(label), _enlarged(image, image_size))

    return Collection(CLASS_NAMES, len(digits.target), pictures)


def _enlarged(image: np.ndarray, image_size: int) -> np.ndarray:
    grey = Image.fromarray(np.round(image * (255 / HIGHEST)).astype(np.uint8))
    large = grey.resize((image_size, image_size), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(large)[:, :, None], 3, axis=2)
