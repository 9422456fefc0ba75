"""Way 1 of the notes: use the pre-trained network unchanged, with its own classifier.

It can only predict the classes it was trained on. Its predictions on target images are scored twice: over all source
classes, and restricted to the classes that source and target share. The user-editable data/source_classes.yaml maps
source classes to target classes; without an entry, classes match by name.
"""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import yaml
from pydantic import ConfigDict, TypeAdapter

from fitgap.data.prepared import PreparedImages
from fitgap.data.record import Record
from fitgap.networks import architectures, vgg16
from fitgap.networks.storage import StoredBackbone
from fitgap.system import downloads
from fitgap.system.errors import UserError

IMAGENET_SIDES = (224, 224)  # input size of VGG16's own classifier (arXiv:1409.1556, section 2.1)
RESIZE = "resize"


def build_source_network(backbone: StoredBackbone, image_size: int) -> keras.Model:
    """Build the source network with its own classifier (include_top=True in Keras).

    It maps uint8 (n, image_size, image_size, 3), RGB, to float32 probabilities of the source classes.

    Raises a UserError if the weights are ImageNet's and cannot be downloaded.
    """
    if backbone.about["weights"] == "imagenet":
        return downloads.load_through_keras(downloads.VGG16_WITH_TOP, lambda: _imagenet_network(image_size))
    kernel, bias = backbone.classifier()
    features = keras.Input(kernel.shape[:1], name="features")
    top = keras.layers.Dense(kernel.shape[1], name="logits")
    network = keras.Model(features, top(features), name="asis")
    top.set_weights([kernel, bias])
    frozen = vgg16.frozen_layers(backbone.weights, image_size, "block5_pool")
    return architectures.build_whole(network, image_size, [*frozen, keras.layers.Flatten(name="flatten")])


def _imagenet_network(image_size: int) -> keras.Model:
    """Build VGG16 as published, with its three dense layers; images are resized bilinearly to 224x224."""
    images = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    resize = keras.layers.Resizing(*IMAGENET_SIDES, antialias=True, name=RESIZE)
    whole = keras.applications.VGG16(include_top=True, weights="imagenet")
    outputs = vgg16.apply_layers([resize, *vgg16.preprocessing_layers(), whole], images)
    return keras.Model(images, outputs, name="asis")


def largest_input_shape(network: keras.Model) -> tuple[int, ...]:
    """Return the largest image shape inside a source network, which may enlarge its inputs."""
    names = [layer.name for layer in network.layers]
    return network.get_layer(RESIZE).output.shape[1:] if RESIZE in names else network.input_shape[1:]


def judge(
    record: Record,
    network: keras.Model,
    probabilities: np.ndarray,
    positions: np.ndarray,
    images: PreparedImages,
    backbone: StoredBackbone,
    class_map: Path,
) -> Record:
    """Return a record with the source classifier's measurements. Nothing is trained: it has a single seed.

    Parameters
    ----------
    record : with `params`; the rest is added
    network : from `build_source_network`
    probabilities : its answers to the test images at `positions`, float32 (images, source classes)
    class_map : the file that `read_class_map` reads
    """
    labels, names = images.part("test")[1], backbone.class_names
    answers = target_classes(names, backbone.class_ids, images.class_names, read_class_map(class_map))
    known, measured = judge_answers(probabilities, answers, labels[positions], images.class_names)
    total = network.count_params() - network.get_layer(vgg16.SWAP).count_params()  # without the fixed RGB to BGR
    return replace(
        record,
        measured={"known_classes": len(known), **measured, "source_classes": len(names), "test_images": len(positions)},
        classes=answers,
        # None means the whole test set, the usual case.
        test_positions=positions.tolist() if len(positions) < len(labels) else None,
        known_classes=known,
        parameters={"total": total, "trainable": 0, "frozen": total},
        seeds=[{"seed": record.params["backbone.seed"], "test_accuracy": measured["accuracy_all_classes"]}],
    )


def judge_answers(
    probabilities: np.ndarray, source: list[str], labels: np.ndarray, target: list[str]
) -> tuple[list[str], dict[str, float | None]]:
    """Score the source classifier on the target.

    Parameters
    ----------
    probabilities : (images, source classes)
    source : name per column, as returned by `target_classes`
    labels : int64, (images,), indices into `target`
    target : names of the target's classes

    Probabilities of columns with the same name are added when predictions are restricted to shared classes.

    Returns
    -------
    The names that source and target share; and `coverage`, the share of images with a class that the source knows,
    `accuracy_all_classes`, over all images with any source class allowed, and `accuracy_known_classes`, over the
    covered images with shared classes only, None without any.
    """
    truth = np.asarray(target)[labels]
    known = [name for name in dict.fromkeys(source) if name in set(target)]
    covered = np.isin(truth, known)
    free, right = np.asarray(source)[probabilities.argmax(axis=1)], None
    if covered.any():
        together = np.stack([probabilities[:, np.asarray(source) == name].sum(axis=1) for name in known], axis=1)
        right = float((np.asarray(known)[together.argmax(axis=1)] == truth)[covered].mean())
    shares = {"coverage": float(covered.mean()), "accuracy_all_classes": float((free == truth).mean())}
    return known, shares | {"accuracy_known_classes": right}


ClassMap = dict[str, list[str]]


def read_class_map(path: Path) -> ClassMap:
    """Read a class map: target class -> ids, ranges of ids (`n02085620..n02113978`) or names of source classes.

    Raises a UserError if the file is not valid YAML, or not a mapping of names to lists of text.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return TypeAdapter(ClassMap, config=ConfigDict(strict=True)).validate_python(tree)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: should be 'target class: [source classes]', all of them text ({reason})") from None


def target_classes(names: list[str], ids: list[str], targets: list[str], mapping: ClassMap) -> list[str]:
    """Return, for each source class, the target class it maps to, or its own name if there is none.

    Parameters
    ----------
    names, ids : names and ids of the source's classes; ids may be empty
    targets : names of the target's classes
    mapping : as returned by `read_class_map`; entries for unknown target classes are ignored

    Raises a UserError if a source class maps to two target classes.
    """
    found: dict[int, str] = {names.index(target): target for target in targets if target in names}
    for target in targets:
        for index in _matching_positions(mapping.get(target, []), names, ids):
            if found.setdefault(index, target) != target:
                raise UserError(
                    f"data/source_classes.yaml: {names[index]!r} counts as {found[index]!r} and as {target!r}; "
                    "take it out of one of them"
                )
    return [found.get(index, name) for index, name in enumerate(names)]


def _matching_positions(entries: list[str], names: list[str], ids: list[str]) -> list[int]:
    """Return the indices of the source classes that match any entry."""
    labels = list(zip(names, ids or names, strict=True))
    return [i for i, (name, own) in enumerate(labels) if any(_entry_matches(entry, name, own) for entry in entries)]


def _entry_matches(entry: str, name: str, own: str) -> bool:
    first, dots, last = entry.partition("..")
    return first <= own <= last if dots else entry in (name, own)
