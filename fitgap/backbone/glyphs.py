"""Render printed characters from the fonts that ship with matplotlib: the offline source task.

The images are light strokes on black, as soft as scikit-learn's handwritten digits. Those digits were made
by counting the pixels of a 32x32 bitmap in 4x4 blocks (E. Alpaydin and C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI Machine Learning Repository, 1998, doi:10.24432/C50P49). Glyphs are rendered the same way:
drawn on a 32x32 canvas, averaged down to a coarse grid, then enlarged to the requested size. They are also slanted,
stretched and bent a little, as paper and scanners do to print. Bending with a smooth random field is the elastic
distortion of Simard, Steinkraus and Platt, "Best Practices for Convolutional Neural Networks", ICDAR 2003.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import map_coordinates

from fitgap.system.errors import UserError

CLASS_NAMES: tuple[str, ...] = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")

# Text fonts only: matplotlib's other fonts contain symbols, extensions, or placeholder boxes.
_TEXT_FONTS = ("DejaVuSans*", "DejaVuSerif*", "STIXGeneral*", "cmb10", "cmr10", "cmss10", "cmti10", "cmtt10")
_FONT_SIZE = 48  # pixels; large enough that thickening and slanting leave smooth edges
_CANVAS = 32  # pixels on a side: the bitmap size the handwritten digits were scanned to

# Random appearance, drawn uniformly from these ranges. They are small on purpose: print, not imitated handwriting.
_HEIGHT = (0.8, 1.1)  # of the canvas
_STRETCH = (0.75, 1.15)  # width, relative to the font's own proportions
_SLANT = (-0.25, 0.25)  # horizontal shift per unit of height
_SHEAR = (-0.12, 0.12)  # vertical shift per unit of width
_SHIFT = 1.5  # pixels of the canvas at most, in each direction
_STROKE_WIDTH = 2  # pixels at most, added on each side of a stroke at _FONT_SIZE
_GRID = (8, 10)  # pixels on a side of the coarse grid; the handwritten digits have 8
_BEND = 0.6  # pixels of the canvas: standard deviation of the elastic distortion at its 4x4 knots


def font_paths() -> list[Path]:
    """Return matplotlib's text fonts, sorted by file name: TrueType, with every character of `CLASS_NAMES`.

    Raises a UserError if matplotlib was installed without its fonts, as some Linux distributions do.
    """
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [path for pattern in _TEXT_FONTS for path in folder.glob(f"{pattern}.ttf")]
    paths = sorted(path for path in fonts if "Display" not in path.name)
    if not paths:
        raise UserError(f"no text fonts in {folder}: install matplotlib from PyPI, whose package brings them")
    return paths


@cache
def _drawn(path: Path, character: str, stroke_width: int) -> np.ndarray:
    """Draw one character, light on black, uint8 (height, width), cropped to its strokes plus a 1-pixel dark border."""
    font = ImageFont.truetype(path, _FONT_SIZE, layout_engine=ImageFont.Layout.BASIC)
    image = Image.new("L", (3 * _FONT_SIZE, 3 * _FONT_SIZE))
    centre = (1.5 * _FONT_SIZE, 1.5 * _FONT_SIZE)
    pen = ImageDraw.Draw(image)
    pen.text(centre, character, fill=255, font=font, anchor="mm", stroke_width=stroke_width)
    left, top, right, bottom = image.getbbox()
    return np.asarray(image.crop((left - 1, top - 1, right + 1, bottom + 1)))


@cache
def _spread() -> np.ndarray:
    """Return the (_CANVAS, 4) matrix that interpolates four knots smoothly along one side of the canvas."""
    knots = Image.fromarray(np.eye(4, dtype=np.float32))
    return np.asarray(knots.resize((4, _CANVAS), Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class _Looks:
    """The random appearance of `count` glyphs: one row of each array per glyph."""

    fonts: np.ndarray
    stroke_widths: np.ndarray
    shapes: np.ndarray  # (count, 4): height, stretch, slant, shear
    shifts: np.ndarray  # (count, 2): x, y
    knots: np.ndarray  # (count, 2, 4, 4): displacement in x and y
    grids: np.ndarray

    @classmethod
    def draw(cls, random: np.random.Generator, count: int, fonts: int) -> "_Looks":
        return cls(
            fonts=random.integers(fonts, size=count),
            stroke_widths=random.integers(_STROKE_WIDTH, size=count, endpoint=True),
            shapes=random.uniform(*np.transpose([_HEIGHT, _STRETCH, _SLANT, _SHEAR]), size=(count, 4)),
            shifts=random.uniform(-_SHIFT, _SHIFT, size=(count, 2)),
            knots=random.normal(0.0, _BEND, size=(count, 2, 4, 4)),
            grids=random.integers(*_GRID, size=count, endpoint=True),
        )


def _placed(drawn: np.ndarray, shape: np.ndarray, shift: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Place a drawn character on the canvas, slanted, stretched, shifted and bent.

    The mapping is inverse: each canvas pixel samples its point of `drawn`, so no holes can appear.
    """
    height, stretch, slant, shear = shape
    size = np.array(drawn.shape[::-1])  # width, height
    scale_y = height * _CANVAS / size[1]
    scale_x = min(scale_y * stretch, _CANVAS / size[0])  # keeps wide letters such as W inside the canvas
    backward = np.linalg.inv([[scale_x, slant * scale_y], [shear * scale_x, scale_y]])
    bend = _spread() @ knots @ _spread().T
    canvas = np.stack(np.meshgrid(np.arange(_CANVAS), np.arange(_CANVAS)))
    from_middle = canvas + bend - (_CANVAS - 1) / 2 - shift[:, np.newaxis, np.newaxis]
    x, y = np.tensordot(backward, from_middle, axes=1) + ((size - 1) / 2)[:, np.newaxis, np.newaxis]
    return map_coordinates(drawn, [y, x], order=1)


def _softened(canvas: np.ndarray, grid: int, image_size: int) -> np.ndarray:
    """Average the canvas down to `grid` pixels on a side and enlarge it to `image_size`."""
    coarse = Image.fromarray(canvas).resize((grid, grid), Image.Resampling.BOX)
    return np.asarray(coarse.resize((image_size, image_size), Image.Resampling.BICUBIC))


def render(count: int, image_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Render printed characters, each in a random font with a random appearance.

    Parameters
    ----------
    count : number of images, at least 1
    image_size : side in pixels, at least 10; the same seed yields the same characters at every size
    seed : the same seed yields the same images

    Returns
    -------
    images : uint8, (count, image_size, image_size, 3), light strokes on black in three equal channels
    labels : int64, (count,), indices into `CLASS_NAMES`, shuffled; class counts differ by at most one

    Raises a UserError if matplotlib's fonts are missing.
    """
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count, dtype=np.int64) % len(CLASS_NAMES))
    paths = font_paths()
    looks = _Looks.draw(random, count, len(paths))
    images = np.empty((count, image_size, image_size, 3), np.uint8)
    for i, label in enumerate(labels):
        drawn = _drawn(paths[looks.fonts[i]], CLASS_NAMES[label], int(looks.stroke_widths[i]))
        canvas = _placed(drawn, looks.shapes[i], looks.shifts[i], looks.knots[i])
        images[i] = _softened(canvas, looks.grids[i], image_size)[..., np.newaxis]
    return images, labels
