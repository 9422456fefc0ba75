"""Stage `prepare` on JPEGs, its threads against one picture after the other: `python -m bench.preparing [ROUNDS]`."""

import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from bench import machine, side_by_side
from fitgap.images import preparation
from fitgap.images.decoding import UnusableError, decode
from fitgap.images.sources import directory, picture_files
from fitgap.images.sources.collection import Picture
from fitgap.images.sources.picture_files import UNLABELLED, PictureFile, decode_files
from fitgap.params.sections import Data

COUNT, WIDTH, HEIGHT, CLASSES = 1_000, 500, 375, 10  # of the pictures
SIDE = 224  # of the prepared images
THREADS, ONE = "fitgap", "one after the other"
KINDS = ("folder", "zip", "tar")


def measure(rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Return the rates and the peak memory of both ways, for a folder, a .zip and a .tar of the same pictures."""
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder))
        return {
            kind: side_by_side.race(contestants(Path(folder) / kind), rounds, kind).to_dict("records") for kind in KINDS
        }


def draw(top: Path) -> None:
    """Write smooth pictures with a little noise, as a folder, a .zip and a .tar."""
    chance = np.random.default_rng(0)
    with zipfile.ZipFile(top / "zip", "w") as packed, tarfile.open(top / "tar", "w") as tar:
        for number in range(COUNT):
            name = f"class{number % CLASSES}/{number}.jpg"
            path = top / "folder" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _picture(chance).save(path, quality=90)
            packed.write(path, name)
            tar.add(path, name)


def _picture(chance: np.random.Generator) -> Image.Image:
    few = Image.fromarray(chance.integers(0, 256, (10, 13, 3), np.uint8))
    smooth = np.asarray(few.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.int16)
    noisy = smooth + chance.integers(-6, 7, smooth.shape, np.int16)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def contestants(path: Path) -> list[side_by_side.Contestant]:
    """Return the two ways to prepare a tree of pictures."""
    ways = {THREADS: decode_files, ONE: decode_one_by_one}
    return [side_by_side.Contestant(name, partial(_make, path, way)) for name, way in ways.items()]


def decode_one_by_one(files: Iterable[PictureFile], image_size: int, threads: int | None = None) -> Iterator[Picture]:
    """Yield the pictures of files in this thread; takes the arguments of `decode_files`."""
    for file in files:
        try:
            yield Picture(file.name, UNLABELLED, decode(file.path.read_bytes(), image_size))
        except UnusableError as error:
            yield Picture(file.name, UNLABELLED, None, reason=str(error))


def _make(path: Path, way: Callable[..., Iterator[Picture]]) -> side_by_side.Pass:
    picture_files.decode_files = way  # in this process, which measures nothing else
    _prepare(path)
    return partial(_prepare, path)


def _prepare(path: Path) -> dict[str, float]:
    data = Data(
        source="directory",
        path=str(path),
        image_size=SIDE,
        train_images=100,
        validation_images=100,
        pool_images=COUNT // 2,
        test_images="all",
        split_seed=0,
        max_bad_fraction=0.0,
        near_duplicates="warn",
        split_folders="by_name",
    )
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        preparation.prepare(directory.load(path, SIDE), data, Path(folder))
    rate = COUNT / (time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"pictures_per_second": rate, "megabytes": peak / (2**20 if sys.platform == "darwin" else 1024)}


def summarise(found: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return one row per kind of tree: rates, their ratio and its extremes, and peak memory."""
    rows = []
    for kind, measured in ((kind, pd.DataFrame(rounds)) for kind, rounds in found.items()):
        rates = side_by_side.medians(measured, "pictures_per_second")
        memory = side_by_side.medians(measured, "megabytes")
        ways = "pictures_per_second", THREADS, ONE
        rows.append(
            {
                "kind": kind,
                "one": rates[ONE],
                "threads": rates[THREADS],
                "ratio": side_by_side.ratio(measured, *ways),
                "extremes": side_by_side.extremes(measured, *ways),
                "one_megabytes": memory[ONE],
                "threads_megabytes": memory[THREADS],
            }
        )
    return rows


if __name__ == "__main__":
    print(machine.description())
    print(pd.DataFrame(summarise(measure(int(sys.argv[1]) if sys.argv[1:] else 5))).round(2).to_string(index=False))
