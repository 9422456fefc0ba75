"""Decode picture files to RGB pixels of one size, in the orientation and colours that a viewer shows."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # 89 million; a small file that claims more is a decompression bomb
SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")
BACKGROUND = (255, 255, 255)  # white behind transparent pixels, as on a web page


class UnusableError(Exception):
    """A file cannot be used; the message is a short reason."""


def decode(data: bytes, image_size: int) -> np.ndarray:
    """Decode a picture: JPEG, PNG, WebP, BMP, GIF or TIFF; of several frames, the first.

    The EXIF rotation is applied. Transparent pixels are blended with white. 16-bit grey levels are scaled to 8 bits.
    Grey, palette and CMYK pictures are converted to RGB. The whole picture is resized to a square, with antialiasing;
    its aspect ratio may change, as in Keras's `image_dataset_from_directory`.

    Returns
    -------
    uint8, (image_size, image_size, 3), RGB

    Raises
    ------
    UnusableError
        If the file is empty, truncated, not a picture, or larger than `MAX_PIXELS`.
    """
    if not data:
        raise UnusableError("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unusual but readable metadata; enormous pictures are rejected below
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image)
                return _pixels(image, image_size)
    except UnusableError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        enormous = isinstance(error, Image.DecompressionBombError)
        raise UnusableError(_enormous() if enormous else f"not a picture in {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow's decoders raise many types for damaged data
        raise UnusableError(f"damaged: {' '.join(str(error).split()) or type(error).__name__}"[:200]) from None


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnusableError(_enormous())


def _enormous() -> str:
    return f"enormous: more than {MAX_PIXELS:,} pixels"


def _pixels(image: Image.Image, image_size: int) -> np.ndarray:
    image.load()  # decode fully here, so that a truncated file fails now and not later
    image = _rgb(ImageOps.exif_transpose(image))
    if image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT:
        image = _eight_bit(image)
    if image.mode == "F":
        raise UnusableError("floating-point pixels have no defined range; convert to 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image).convert("RGB")
    return image.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > 0xFFFF:
        raise UnusableError("32-bit pixels have no defined range; convert to 8 or 16 bits")
    # Pillow's own conversion clips everything above 255, which turns most of a photograph white.
    return Image.fromarray((levels.astype(np.uint32) // 257).astype(np.uint8))
