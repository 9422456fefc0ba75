"""The default images: scikit-learn's handwritten digits, which ship with the package.

Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
1998, doi:10.24432/C50P49 (its test set, as `sklearn.datasets.load_digits` gives it).
"""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

CLASS_NAMES = [str(digit) for digit in range(10)]
HIGHEST = 16  # the digits' grey levels run from 0 to 16


def load(image_size: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Load all 1,797 digits, enlarged from 8x8 to `image_size`.

    Returns
    -------
    images : uint8, (1797, image_size, image_size, 3), RGB: light strokes on black, three equal channels
    labels : int64, (1797,)
    names : list of str, one per image: its index in scikit-learn's data set
    """
    digits = load_digits()
    images = np.stack([_enlarge(image, image_size) for image in digits.images])
    names = [f"digits/{index:04d}" for index in range(len(images))]
    return images, digits.target.astype(np.int64), names


def _enlarge(image: np.ndarray, image_size: int) -> np.ndarray:
    grey = Image.fromarray(np.round(image * (255 / HIGHEST)).astype(np.uint8))
    large = grey.resize((image_size, image_size), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(large)[:, :, None], 3, axis=2)
