"""Classify pictures with a trained model, in three lines of Python.

>>> from fitgap.prediction.predictor import load_predictor
>>> predictor = load_predictor("scratch@dropout")  # without a name: the best model
>>> predictor.predict_files(["digit.png", "scans"]).probabilities
"""

import contextlib
import itertools
import math
import sys
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from fitgap.data.prepared import PreparedImages
from fitgap.images.decoding import ENDINGS, has_picture_ending
from fitgap.images.sources.collection import Picture
from fitgap.images.sources.directory import is_ignored
from fitgap.images.sources.picture_files import PictureFile, decode_files, is_archive, unpacked
from fitgap.prediction.trained_models import WAY, TrainedModels, build_network
from fitgap.system.errors import UserError
from fitgap.system.files import list_tree

if TYPE_CHECKING:
    from fitgap.networks.evaluation import Evaluator

LOOKED_AT = 1000  # pictures
AT_ONCE = 2**25  # bytes of pixels in memory: 10,922 images of 32x32, 42 of 512x512


@dataclass(frozen=True)
class Predictions:
    """What a model answers."""

    probabilities: pd.DataFrame  # float32, a row per picture, named after its file; a column per class
    unusable: dict[str, str]  # file -> why it cannot be used
    doubtful: dict[str, str]  # file -> why its answer may be wrong


@dataclass(frozen=True)
class Predictor:
    """A trained model that classifies pictures."""

    name: str  # "scratch@dropout", for example
    classes: list[str]  # in the order of the network's outputs
    image_size: int  # side of the square images in pixels
    about: str  # one line: the model's name, its mean validation loss, and the seed whose weights answer
    warning: str  # one line if params.yaml has changed since the training; otherwise ""
    brightness: tuple[float, float]  # lowest and highest mean pixel of a picture of the training
    network: "Evaluator"

    def predict(self, images: np.ndarray) -> pd.DataFrame:
        """Return the probability of each class for each image: float32, (n, classes), with the classes as columns.

        `images` are uint8, (n, image_size, image_size, 3), RGB, 0-255.
        """
        shape = (self.image_size, self.image_size, 3)
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise ValueError(f"images: {images.dtype} {images.shape}; allowed: uint8 (n, {self.image_size}, ...)")
        return pd.DataFrame(self.network.outputs(images), columns=self.classes)

    def predict_files(self, paths: Iterable[Path | str]) -> Predictions:
        """Classify files, all pictures in folders, and all pictures in .zip and .tar archives.

        They are decoded as stage `prepare` decodes them. A file that cannot be used does not stop the others.
        """
        paths = [paths] if isinstance(paths, str | Path) else paths
        names, answers, unusable, doubtful = [], [np.empty((0, len(self.classes)), np.float32)], {}, {}
        count = max(1, AT_ONCE // (self.image_size**2 * 3))
        with contextlib.closing(read_pictures(paths, self.image_size)) as decoded:
            while pictures := list(itertools.islice(decoded, count)):
                unusable |= {picture.name: picture.reason for picture in pictures if picture.pixels is None}
                usable = [picture for picture in pictures if picture.pixels is not None]
                names += [picture.name for picture in usable]
                doubts = {picture.name: self._doubt(picture.pixels.mean()) for picture in usable}
                doubtful |= {name: doubt for name, doubt in doubts.items() if doubt}
                if usable:
                    answers.append(self.predict(np.stack([picture.pixels for picture in usable])).to_numpy())
        files = pd.Index(names, dtype=object, name="file")  # object: names of files need not be valid text
        return Predictions(pd.DataFrame(np.concatenate(answers), files, self.classes), unusable, doubtful)

    def _doubt(self, mean: float) -> str:
        """Return why a picture with this mean pixel may be a negative of those of the training; empty if it is none."""
        low, high = self.brightness
        beyond = (high - low) / 4  # far from all
        if low - beyond <= mean <= high + beyond or not low <= 255 - mean <= high:
            return ""
        return f"inverted? its mean brightness is {mean:.0f} of 255; in the training {low:.0f} to {high:.0f}"


def read_pictures(paths: Iterable[Path | str], image_size: int) -> Generator[Picture, None, None]:
    """Yield the pictures one by one, without labels; threads decode them, in advance.

    A file is read whatever its name. Of a folder, a .zip or a .tar, at any depth, the files with a picture's ending are
    read; hidden files are not. A path or file that cannot be used yields a picture without pixels, with the reason.

    `image_size` is the side of the square that pictures are resized to, in pixels.
    """
    with contextlib.ExitStack() as stack:  # keeps what archives are unpacked to until all are decoded
        files = itertools.chain.from_iterable(_files(Path(path), stack) for path in paths)
        yield from decode_files(files, image_size)


def _files(path: Path, stack: contextlib.ExitStack) -> Iterator[PictureFile]:
    """Yield the files of a path; one that cannot be used is a file that cannot be read."""
    try:
        if not path.exists():
            raise UserError("not found; a picture, or a folder, a .zip or a .tar of pictures")
        if not path.is_dir() and not path.is_file():  # to open a pipe could take for ever
            raise UserError("neither a file nor a folder")
        if path.is_dir() or (not has_picture_ending(path.name) and is_archive(path)):
            yield from _inside(path, stack.enter_context(unpacked(path, str(path))))
        else:
            yield PictureFile(str(path), path)
    except (UserError, OSError) as error:
        reason = " ".join(str(error).split()).removeprefix(f"{path}: ")
        yield PictureFile(str(path), path, problem=reason)


def _inside(path: Path, folder: Path) -> Iterator[PictureFile]:
    names = [name for name in list_tree(folder)[0] if has_picture_ending(name) and not is_ignored(name)]
    if not names:
        raise UserError(f"holds no picture; files that are read end in {', '.join(itertools.chain(*ENDINGS.values()))}")
    for name in names:
        yield PictureFile(f"{path}/{name}", folder / name)


def load_predictor(name: str | None = None, root: Path | str = ".") -> Predictor:
    """Load a trained model by its name, such as "scratch@dropout"; without a name, the best one.

    The best model is the one with the highest mean validation accuracy, as for MLflow's registry. Only DVC's outputs
    are read, not MLflow's store.

    `root` is the repository's top folder.

    Raises a UserError if there is no such model, or if it cannot answer; the message lists the allowed names.
    """
    models = TrainedModels(Path(root))
    result = models.find(name)
    if "tensorflow" not in sys.modules:  # otherwise its settings and random numbers are the caller's
        from fitgap.definitions.determinism import start_tensorflow

        start_tensorflow(seed=0)
    from fitgap.networks.evaluation import Evaluator

    network = build_network(models, result)
    largest = max((layer.output.shape[1:] for layer in network.layers), key=math.prod)
    accuracy, seed = result.metrics["val_accuracy_best"], result.record.best_seed
    rank = ", the highest of all models" if name is None else ""
    changed = ", ".join(models.changed_settings(result))
    return Predictor(
        name=result.name,
        classes=result.record.classes,
        image_size=network.input_shape[1],
        about=f"{result.name} answers: mean validation accuracy {accuracy:.1%}{rank}; weights of seed {seed}",
        brightness=range_of_brightness(models.prepared),
        warning=f"params.yaml has changed since its training ({changed}); {WAY}" if changed else "",
        network=Evaluator(network, largest, fast=False),
    )


def range_of_brightness(prepared: PreparedImages) -> tuple[float, float]:
    """Return the lowest and the highest mean pixel of the pool's pictures, of at most LOOKED_AT of them."""
    pool = prepared.images[prepared.rows["pool"]]
    means = pool[:: -(-len(pool) // LOOKED_AT)].mean(axis=(1, 2, 3))
    return float(means.min()), float(means.max())
