"""Small stand-ins for Keras's downloads in the original formats, and redirection of Keras to a loopback server.

Keras's own code runs: only the address and the hash that it passes to `get_file` are others.
"""

import hashlib
import io
import json
import os
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from fitgap.definitions.vgg16_layers import FILTERS_PER_BLOCK, LAYERS
from fitgap.system import downloads

CAT = 281  # tabby, n02123045
FILES = ("CIFAR10", "IMAGENET_CLASSES", "VGG16_NOTOP", "VGG16_WITH_TOP")
TOP = {"fc1": (25088, 4096), "fc2": (4096, 4096), "predictions": (4096, 1000)}
BATCH = 10_000


def write_all(folder: Path) -> None:
    """Write every stand-in under the file name of its URL."""
    cifar10(folder / _name(downloads.CIFAR10))
    classes(folder / _name(downloads.IMAGENET_CLASSES))
    vgg16(folder / _name(downloads.VGG16_NOTOP), {})
    vgg16(folder / _name(downloads.VGG16_WITH_TOP), TOP)


def _name(file: downloads.KerasFile) -> str:
    return file.address.rsplit("/", 1)[-1]


def cifar10(path: Path) -> None:
    """Write an archive in CIFAR-10's original format: 60,000 small, nearly plain pictures in ten colours."""
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (10, 3))
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
            labels = random.integers(0, 10, BATCH)
            pixels = np.repeat(colours[labels].astype(np.uint8), 1024, axis=1)
            pixels[:, ::97] = random.integers(0, 256, (BATCH, len(range(0, 3072, 97))))
            content = pickle.dumps({b"data": pixels, b"labels": labels.tolist()}, protocol=3)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def classes(path: Path) -> None:
    """Write an index of a thousand classes; of the names, that of a cat is the true one."""
    index = {str(i): [f"n{90_000_000 + i}", f"class_{i}"] for i in range(1000)}
    path.write_text(json.dumps(index | {str(CAT): ["n02123045", "tabby"]}))


def convolutions() -> dict[str, tuple[int, int, int, int]]:
    """Return the shape of each convolution's kernel, (3, 3, channels, filters)."""
    names, channels, shapes = [name for name in LAYERS if "conv" in name], 3, {}
    for name in names:
        filters = FILTERS_PER_BLOCK[name.split("_")[0]]
        shapes[name], channels = (3, 3, channels, filters), filters
    return shapes


def vgg16(path: Path, top: dict[str, tuple[int, int]]) -> None:
    """Write random weights in the layout of Keras's published files; whatever it sees, its classifier says cat."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in [*convolutions(), *top]]
        for name, shape in convolutions().items():
            kernel = random.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape).astype(np.float32)
            _layer(file, name, kernel, np.zeros(shape[3], np.float32))
        for name, shape in top.items():
            bias = np.zeros(shape[1], np.float32)
            bias[CAT % len(bias)] = 1.0
            _layer(file, name, np.zeros(shape, np.float32), bias)


def _layer(file: h5py.File, name: str, kernel: np.ndarray, bias: np.ndarray) -> None:
    group = file.create_group(name)
    group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
    compression = None if kernel.any() else "gzip"  # 400 MB of zeros need not travel
    group.create_dataset(f"{name}_W_1:0", data=kernel, compression=compression)
    group[f"{name}_b_1:0"] = bias


def redirect(folder: Path, address: str) -> dict[str, downloads.KerasFile]:
    """Permanently redirect fitgap's downloads to `folder`, served at `address`; return original URL -> stand-in."""
    stand_ins = {}
    for key in FILES:
        file = getattr(downloads, key)
        with (folder / _name(file)).open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        stand_ins[file.address] = replace(file, address=f"{address}/{_name(file)}", digest=digest)
        setattr(downloads, key, stand_ins[file.address])
    return stand_ins


def redirect_keras(stand_ins: dict[str, downloads.KerasFile]) -> None:
    """Permanently redirect Keras's downloads to the stand-ins."""
    from keras.src.datasets import cifar10
    from keras.src.utils import file_utils

    get_file = file_utils.get_file

    def redirected(fname, origin, *, file_hash, **options):
        file = stand_ins[origin]
        return get_file(fname, file.address, file_hash=file.digest, **options)

    file_utils.get_file = cifar10.get_file = redirected


SITECUSTOMIZE = """
import os, sys
from pathlib import Path

modules = [name for name in sys.orig_argv if name.startswith(("stages.", "fitgap."))]
if modules:
    import keras_stand_ins

    found = keras_stand_ins.redirect(Path(os.environ["STAND_INS"]), os.environ["STAND_INS_ADDRESS"])
    if set(modules) & {"stages.prepare", "stages.backbone", "stages.asis"}:
        keras_stand_ins.redirect_keras(found)
"""


def variables(folder: Path, address: str, home: Path) -> dict[str, str]:
    """Return environment variables that make every fitgap process use the stand-ins, with `home` as Keras's cache."""
    site = home.with_name("site")
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    here = Path(__file__).parent
    path = os.pathsep.join([str(site), str(here), str(here.parent.parent)])  # the last one for fitgap itself
    return {"STAND_INS": str(folder), "STAND_INS_ADDRESS": address, "KERAS_HOME": str(home), "PYTHONPATH": path}
