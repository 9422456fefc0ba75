"""Printed characters, rendered from the fonts that ship with matplotlib: the offline source task.

The images are light strokes on black and as soft as scikit-learn's handwritten digits, which were made
by counting the pixels of a 32x32 bitmap in 4x4 blocks (E. Alpaydin and C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI Machine Learning Repository, 1998, doi:10.24432/C50P49). A glyph goes the same way:
drawn on a 32x32 canvas, averaged down to a coarse grid, enlarged to the size asked for.
"""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

CLASS_NAMES: tuple[str, ...] = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")

# Text fonts only: the rest of matplotlib's fonts hold symbols, extensions, or placeholder boxes.
_TEXT_FONTS = ("DejaVuSans*", "DejaVuSerif*", "STIXGeneral*", "cmb10*", "cmr10*", "cmss10*", "cmti10*", "cmtt10*")
_FONT_SIZE = 48  # pixels; large enough that slanting and thickening leave smooth edges
_CANVAS = 32  # pixels, the bitmap size of the handwritten digits
_STROKES = (-3, -1, 0, 1, 3)  # pixels at _FONT_SIZE by which strokes are thinned or thickened on either side


def font_paths() -> list[Path]:
    """Return the text fonts of matplotlib, sorted by file name.

    Returns
    -------
    list of Path
        TrueType files that contain all of `CLASS_NAMES`.

    Raises
    ------
    FileNotFoundError
        If matplotlib was installed without its fonts, as some Linux distributions do.
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    found = {path for pattern in _TEXT_FONTS for path in folder.glob(f"{pattern}.ttf")}
    paths = sorted(path for path in found if "Display" not in path.name)
    if not paths:
        raise FileNotFoundError(f"no text fonts in {folder}: install matplotlib from PyPI, which brings them")
    return paths


@cache
def _outline(path: Path, character: str, stroke: int) -> Image.Image:
    """Draw one character, white on black, cropped to its strokes."""
    font = ImageFont.truetype(path, _FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
    image = Image.new("L", (2 * _FONT_SIZE, 2 * _FONT_SIZE))
    draw = ImageDraw.Draw(image)
    draw.text((_FONT_SIZE // 2, _FONT_SIZE // 4), character, fill=255, font=font, stroke_width=max(stroke, 0))
    return image.crop(image.getbbox())
