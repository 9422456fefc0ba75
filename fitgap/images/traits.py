"""What stage `prepare` measures of each picture beside its pixels."""

from dataclasses import dataclass

import numpy as np

from fitgap.images.duplicates import difference_hash, pixel_hash


@dataclass(frozen=True)
class Traits:
    """Numbers that are computed from the pixels of a picture.

    Attributes
    ----------
    sha256 : of the pixels, in hexadecimal
    looks : difference hash, 8 bytes; near duplicates have equal ones
    brightest : highest level of a channel, 0-255
    """

    sha256: str
    looks: bytes
    brightest: int


def measure_traits(pixels: np.ndarray) -> Traits:
    """Return the traits of a picture; `pixels` is uint8, (height, width, 3), RGB."""
    return Traits(pixel_hash(pixels), difference_hash(pixels), int(pixels.max()))
