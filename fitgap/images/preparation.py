"""Turn a collection of pictures into the folder data/prepared/, with little memory.

Each picture is decoded once and its pixels are appended to a temporary file. After that the pictures are divided, and
the pixels are copied in the order of the parts. Memory holds only one manifest row per picture.
"""

import contextlib
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from fitgap.data import draws, prepared
from fitgap.images import duplicates, split
from fitgap.images.sources.collection import Collection, Picture
from fitgap.params.sections import Data
from fitgap.system.errors import UserError
from fitgap.system.files import require_space
from fitgap.system.progress import Progress

COLUMNS = ("name", "sha256", "label", "official", "looks")
LISTED = 300  # characters of the list of classes
SHOWN = 20  # files listed on the terminal; the full lists are in data/prepared/


def prepare(
    collection: Collection, data: Data, folder: Path, sizes: Sequence[int] = ()
) -> tuple[dict[str, Any], list[str]]:
    """Decode, divide and write all pictures of a collection; `sizes` of training sets must be possible to draw, too.

    Return the contents of prepared.json, and lines for the user: the classes, and what is odd.

    Raises a UserError if the disk is too full, if a larger share of files than `data.max_bad_fraction` is unusable, if
    there are too few images, or if there are near duplicates and `data.near_duplicates` is "fail".
    """
    pixels = 3 * data.image_size**2
    with contextlib.closing(collection), tempfile.TemporaryFile(dir=folder) as decoded:
        require_space(folder, 2 * pixels * collection.count, f"{collection.count:,} images")
        manifest, unusable = _decode_all(collection, decoded)
        _check_unusable(unusable, collection.count, data.max_bad_fraction)
        manifest["class"] = [collection.class_names[label] for label in manifest["label"]]
        manifest["part"] = split.divide(manifest, data)
        alike = duplicates.near_duplicates(manifest)
        if len(alike) and data.near_duplicates == "fail":
            raise UserError(
                f"{_describe_duplicates(alike)}; delete one of each pair, or set data.near_duplicates to warn"
            )
        order = split.order_by_part(manifest)
        about = _about(collection, data, manifest, len(unusable), len(alike))
        ordered = manifest.iloc[order][["name", "sha256", "label", "class", "part"]].reset_index(drop=True)
        images = _images(decoded, manifest["place"].to_numpy()[order], pixels)
        about = prepared.write_prepared(folder, images, data.image_size, ordered, about)
    draws.check_drawing(prepared.read_prepared(folder), data, sizes)
    alike.to_csv(folder / "near_duplicates.csv", index=False, lineterminator="\n")
    unusable.to_csv(folder / "unusable.csv", index=False, lineterminator="\n")
    return about, [_describe_classes(manifest), *_warnings(manifest, unusable, alike, collection.others)]


def _decode_all(collection: Collection, file: IO[bytes]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the pixels of usable pictures to `file`.

    Return a table of the usable pictures, where `place` is the position of the pixels in `file`, and a table of the
    unusable ones.
    """
    usable: dict[str, list] = {name: [] for name in COLUMNS}
    unusable = []
    with contextlib.closing(collection.pictures()) as pictures:  # ends its threads at once if the disk is full
        for picture in Progress(pictures, "prepare", collection.count, unit="pictures"):
            if picture.pixels is None:
                unusable.append((picture.name, picture.reason))
                continue
            file.write(picture.pixels.tobytes())
            for name, value in zip(COLUMNS, _describe(picture), strict=True):
                usable[name].append(value)
    file.flush()
    manifest = pd.DataFrame(usable).rename_axis("place").reset_index()
    manifest = manifest.sort_values("name", kind="stable", ignore_index=True)  # the same order for folders and archives
    return manifest, pd.DataFrame(unusable, columns=["name", "reason"]).sort_values("name", ignore_index=True)


def _describe(picture: Picture) -> tuple:
    hashes = duplicates.pixel_hash(picture.pixels), duplicates.difference_hash(picture.pixels)
    return picture.name, hashes[0], picture.label, picture.official, hashes[1]


def _images(file: IO[bytes], places: np.ndarray, pixels: int) -> Iterator[np.ndarray]:
    for place in places.tolist():
        file.seek(place * pixels)
        yield np.frombuffer(file.read(pixels), np.uint8)


def _about(collection: Collection, data: Data, manifest: pd.DataFrame, unusable: int, alike: int) -> dict[str, Any]:
    return {
        "source": data.source,
        "image_size": data.image_size,
        "class_names": collection.class_names,
        "exact_duplicates": int(manifest["sha256"].duplicated().sum()),
        "near_duplicates": alike,
        "unusable_files": unusable,
        "left_out": int((manifest["part"] == split.LEFT_OUT).sum()),
    }


def _describe_classes(manifest: pd.DataFrame) -> str:
    counts = manifest["class"].value_counts(sort=False)
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.sort_index().items())
    return (
        f"{len(manifest):,} pictures in {len(counts)} classes: {textwrap.shorten(listed, LISTED, placeholder=' ...')}"
    )


def _warnings(manifest: pd.DataFrame, unusable: pd.DataFrame, alike: pd.DataFrame, others: Sequence[str]) -> list[str]:
    torn = manifest.groupby("sha256")["label"].nunique() > 1
    lines = {
        f"{len(others)} files were left out, which are no pictures by their names, such as {''.join(others[:1])}": len(
            others
        ),
        f"{len(unusable)} files cannot be used; data/prepared/unusable.csv names them": len(unusable),
        f"{len(alike)} images look like one that may stand in another split; data/prepared/near_duplicates.csv names "
        "them": len(alike),
        f"{int(torn.sum())} images are in two classes at once": int(torn.sum()),
    }
    return [line for line, count in lines.items() if count]


def _check_unusable(unusable: pd.DataFrame, count: int, most: float) -> None:
    if len(unusable) <= most * count:
        return
    raise UserError(
        f"{len(unusable)} of {count} files cannot be used, and data.max_bad_fraction in params.yaml allows "
        f"{most:g}: {_listed(unusable['name'] + ' (' + unusable['reason'] + ')')}; fix or delete them, or raise it"
    )


def _listed(texts: pd.Series) -> str:
    more = f"; and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return "; ".join(texts.head(SHOWN)) + more


def _describe_duplicates(alike: pd.DataFrame) -> str:
    pairs = alike["name"] + " in " + alike["part"] + " like " + alike["like_name"] + " in " + alike["like_part"]
    return f"{len(alike)} images look like one that may stand in another split: {_listed(pairs)}"
