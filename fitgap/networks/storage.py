"""Read and write data/backbone/: the convolutional base's weights, its classifier, and their origin.

    vgg16_notop.weights.h5   Keras's notop format: keras.applications.VGG16(include_top=False, weights=<file>)
    classifier.npz           kernel (features, classes) and bias (classes,) on flattened block5_pool
    backbone.json            weights (glyphs, imagenet, path or none), class names and ids, image size, digest

Random weights, and user weights without a classifier file, have no classifier and no class names.
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
        """Classes of the source classifier; empty if there is no classifier."""
        return self.about["class_names"]

    @property
    def class_ids(self) -> list[str]:
        """Ids of these classes (WordNet ids for ImageNet); empty if they have none."""
        return self.about["class_ids"]

    @property
    def identity(self) -> dict[str, str]:
        """Name and digest, as stored in records."""
        return {"name": f"vgg16-{self.about['weights']}", "digest": self.about["digest"]}

    def classifier(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the source classifier's kernel, (features, classes), and bias, (classes,)."""
        with np.load(self.folder / CLASSIFIER) as arrays:
            return arrays["kernel"], arrays["bias"]


def read_backbone(folder: Path) -> StoredBackbone:
    """Read data/backbone/ (backbone.json now; weights and classifier on request)."""
    return StoredBackbone(folder, json.loads((folder / ABOUT).read_text(encoding="utf-8")))


def write_backbone(
    folder: Path, base, about: dict[str, Any], classifier: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, Any]:
    """Write a base (a Keras model) and its classifier, if it has one; return the content of backbone.json."""
    base.save_weights(folder / WEIGHTS)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes())
    if classifier is not None:
        np.savez(folder / CLASSIFIER, kernel=classifier[0], bias=classifier[1])
        digest.update((folder / CLASSIFIER).read_bytes())
    about = {**about, "digest": digest.hexdigest()}
    (folder / ABOUT).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return about
