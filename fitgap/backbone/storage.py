"""The folder data/backbone/: the convolutional base's weights, its own classifier, where they came from.

    vgg16_notop.weights.h5   Keras's notop format: keras.applications.VGG16(include_top=False, weights=<it>)
    classifier.npz           kernel (features, classes) and bias (classes,) on flattened block5_pool
    backbone.json            weights (glyphs, path or none), class names and ids, image size, digest

Random weights, and weights of your own without a classifier beside them, have no classifier and no class names.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS, CLASSIFIER, ABOUT = "vgg16_notop.weights.h5", "classifier.npz", "backbone.json"


@dataclass(frozen=True)
class StoredBackbone:
    """A convolutional base on disk."""

    folder: Path
    about: dict[str, Any]

    @property
    def weights(self) -> Path:
        """The weights file, in Keras's notop format."""
        return self.folder / WEIGHTS

    @property
    def class_names(self) -> list[str]:
        """What the source classifier can answer; empty where there is none."""
        return self.about["class_names"]

    @property
    def class_ids(self) -> list[str]:
        """The ids of these classes (ImageNet's are WordNet's); empty where they have none."""
        return self.about["class_ids"]

    @property
    def identity(self) -> dict[str, str]:
        """Name and digest, as records carry them."""
        return {"name": f"vgg16-{self.about['weights']}", "digest": self.about["digest"]}

    def classifier(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the source classifier's kernel, (features, classes), and bias, (classes,)."""
        with np.load(self.folder / CLASSIFIER) as arrays:
            return arrays["kernel"], arrays["bias"]


def read_backbone(folder: Path) -> StoredBackbone:
    """Open data/backbone/."""
    return StoredBackbone(folder, json.loads((folder / ABOUT).read_text(encoding="utf-8")))


def write_backbone(
    folder: Path, base, about: dict[str, Any], classifier: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, Any]:
    """Leave a base (a Keras model) and, where it has one, its classifier; give what backbone.json says."""
    base.save_weights(folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes())
    if classifier is not None:
        np.savez(folder / CLASSIFIER, kernel=classifier[0], bias=classifier[1])
        digest.update((folder / CLASSIFIER).read_bytes())
    about = {**about, "digest": digest.hexdigest()}
    (folder / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return about
