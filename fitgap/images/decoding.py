"""Decode picture files to RGB pixels of one size, in the orientation and colours that a viewer shows."""

import contextlib
import functools
import io
import re
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

# Pillow's name of each format, and the endings of its files. HEIF needs the optional package pillow-heif.
ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpx", ".jpf"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "HEIF": (".heic", ".heif"),
}
MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # 89 million; a small file that claims more is a decompression bomb
SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B", "I;16N")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")  # in a file's first box
BACKGROUND = (255, 255, 255)  # white behind transparent pixels, as on a web page
ORIENTATION = 0x0112  # the only EXIF tag in use
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def has_picture_ending(name: str) -> bool:
    """Return whether a file is named like a picture."""
    return name.lower().endswith(tuple(ending for endings in ENDINGS.values() for ending in endings))


def has_other_ending(name: str) -> bool:
    """Return whether a file is named like something else: notes.txt, or what Windows puts beside a download."""
    return bool(re.fullmatch(r"\.[a-zA-Z]\w*", PurePosixPath(name).suffix)) and not has_picture_ending(name)


class UnusableError(Exception):
    """A file cannot be used; the message is a short reason."""


def decode(data: bytes, image_size: int) -> np.ndarray:
    """Decode a picture in one of the formats of `ENDINGS` to uint8, (image_size, image_size, 3), RGB.

    Of several frames, the first is taken. The EXIF rotation is applied, and other metadata are ignored. Transparent
    pixels are blended with white. 16-bit grey levels are scaled to 8 bits. Grey, palette and CMYK pictures are
    converted to RGB. The whole picture is resized to a square, with antialiasing; its aspect ratio may change, as in
    Keras's `image_dataset_from_directory`.

    Raises an UnusableError if the file is empty, truncated, not a picture, or larger than `MAX_PIXELS`.
    """
    if not data:
        raise UnusableError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=readable_formats()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            return _pixels(image, image_size)
    except UnusableError:
        raise
    except Image.DecompressionBombError:
        raise UnusableError(f"enormous: more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise UnusableError(_unknown(data)) from None
    except Exception as error:  # Pillow's decoders raise many types for damaged data
        raise UnusableError(f"damaged: {' '.join(str(error).split()) or type(error).__name__}"[:200]) from None


@functools.cache
def readable_formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that it reads here."""
    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in ENDINGS if name in Image.OPEN)


def _unknown(data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS and "HEIF" not in readable_formats():
        return "HEIC, which needs another package: pip install pillow-heif"
    return f"not a picture in {', '.join(readable_formats())}"


def _pixels(image: Image.Image, image_size: int) -> np.ndarray:
    image.load()  # decode fully here, so that a truncated file fails now and not later
    image = _rgb(_turned(image))
    if image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _turned(image: Image.Image) -> Image.Image:
    """Return the picture as its EXIF orientation says. Pillow's `exif_transpose` fails if any other tag is damaged."""
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION))
    except Exception:  # Pillow raises many types; a picture with damaged metadata is a whole picture
        return image
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT:
        image = _eight_bit(image)
    if image.mode == "F":
        raise UnusableError("floating-point pixels have no defined range; convert to 8 or 16 bits")
    if image.mode in ("RGBA", "LA", "La", "RGBa", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # Pillow would copy it


def _eight_bit(image: Image.Image) -> Image.Image:
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > 0xFFFF:
        raise UnusableError("32-bit pixels have no defined range; convert to 8 or 16 bits")
    # Pillow's own conversion clips everything above 255, which turns most of a photograph white.
    return Image.fromarray((levels.astype(np.uint32) // 257).astype(np.uint8))
