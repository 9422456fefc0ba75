"""Decode picture files to RGB pixels of one size, in the orientation and colours that a viewer shows."""

import contextlib
import functools
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

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
PNG = b"\x89PNG\r\n\x1a\n"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")  # those that matter to pixels and orientation


def has_picture_ending(name: str) -> bool:
    """Return whether a file is named like a picture."""
    return name.lower().endswith(tuple(ending for endings in ENDINGS.values() for ending in endings))


class UnusableError(Exception):
    """A file cannot be used; the message is a short reason."""


def decode(data: bytes, image_size: int) -> np.ndarray:
    """Decode a picture in one of the formats of `ENDINGS`; of several frames, the first.

    The EXIF rotation is applied; other metadata are ignored, damaged ones too. Transparent pixels are blended with
    white. 16-bit grey levels are scaled to 8 bits. Grey, palette and CMYK pictures are converted to RGB. The whole
    picture is resized to a square, with antialiasing; its aspect ratio may change, as in Keras's
    `image_dataset_from_directory`.

    Returns
    -------
    uint8, (image_size, image_size, 3), RGB

    Raises
    ------
    UnusableError
        If the file is empty, truncated, not a picture, or larger than `MAX_PIXELS`.
    """
    with ignore_warnings():
        return decode_in_thread(data, image_size)


@contextlib.contextmanager
def ignore_warnings() -> Iterator[None]:
    """Ignore what Pillow warns of inside this context, in all threads.

    It warns of unusual but readable metadata, and of enormous pictures, which are rejected.
    """
    with warnings.catch_warnings():
        for module in ("PIL", "pillow_heif", re.escape(__name__)):
            warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
        yield


def decode_in_thread(
    data: bytes, image_size: int, admit: Callable[[int], AbstractContextManager] = contextlib.nullcontext
) -> np.ndarray:
    """Decode a picture as `decode` does, in one of several threads.

    The caller ignores warnings: `warnings.catch_warnings` changes the filters of all threads, and two that leave it in
    another order than they entered it would leave changed filters behind.

    Parameters
    ----------
    admit : takes the number of pixels and returns the context to decode them in, which may wait for room
    """
    if not data:
        raise UnusableError("empty file")
    try:
        with Image.open(io.BytesIO(_without_metadata(data)), formats=readable_formats()) as image:
            _check_size(image)
            with admit(image.width * image.height):
                return _pixels(image, image_size)
    except UnusableError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        enormous = isinstance(error, Image.DecompressionBombError)
        raise UnusableError(_enormous() if enormous else _unknown(data)) from None
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


def _without_metadata(data: bytes) -> bytes:
    """Return a PNG without text, colour profile and the like, any other file as it is.

    Pillow takes a PNG with a broken or very long chunk of metadata for damaged; other readers do not.
    """
    if not data.startswith(PNG):
        return data
    kept, at = [PNG], len(PNG)
    while at + 8 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])  # length, kind, content, checksum
        if data[at + 4 : at + 8] in PNG_CHUNKS:
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _unknown(data: bytes) -> str:
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS and "HEIF" not in readable_formats():
        return "HEIC, which needs another package: pip install pillow-heif"
    return f"not a picture in {', '.join(readable_formats())}"


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnusableError(_enormous())


def _enormous() -> str:
    return f"enormous: more than {MAX_PIXELS:,} pixels"


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
