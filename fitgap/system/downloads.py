"""Download CIFAR-10, ImageNet's weights and its class names through Keras, with retries, a timeout and a lock.

Keras downloads the files into its cache and checks their hashes (`keras.utils.get_file`). On its own it never
retries, waits forever for a silent server, and lets two processes write the same file.
"""

import hashlib
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from fitgap.system.errors import UserError

ATTEMPTS = 3
PAUSE = 2.0  # seconds before the second attempt; twice that before the third
SILENCE_TIMEOUT = 30.0  # seconds without a byte before a download fails
REACH_TIMEOUT = 10.0  # seconds a server has to answer a HEAD request
MODELS = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class KerasFile:
    """A file that Keras downloads into its cache."""

    name: str
    folder: str  # in Keras's cache
    address: str  # URL
    digest: str  # SHA-256 (64 hexadecimal digits) or MD5, the one in Keras's source
    asked_by: str  # the setting in params.yaml that needs the file

    @property
    def place(self) -> Path:
        """Path in Keras's cache, whether or not the file exists."""
        return cache() / self.folder / self.name

    @property
    def is_whole(self) -> bool:
        """Whether the file is in the cache with the right hash."""
        if not self.place.is_file():
            return False
        with self.place.open("rb") as file:
            return hashlib.file_digest(file, "sha256" if len(self.digest) == 64 else "md5").hexdigest() == self.digest


# Names, addresses and hashes are copied from Keras's source; tests/code/system/test_downloads.py compares the two.
CIFAR10 = KerasFile(
    "cifar-10-batches-py-target_archive",
    "datasets",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "data.source: cifar10",
)
IMAGENET_CLASSES = KerasFile(
    "imagenet_class_index.json",
    "models",
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
    "c2c37ea517e94d9795004a39431a14cb",
    "backbone.weights: imagenet",
)
VGG16_NOTOP = KerasFile(
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "models",
    f"{MODELS}vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "6d6bbae143d832006294945121d1f1fc",
    "backbone.weights: imagenet",
)
VGG16_WITH_TOP = KerasFile(
    "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    "models",
    f"{MODELS}vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    "64373286793e3c8b2b4e3219cbf3544b",
    "asis.images above 0",
)


def cache() -> Path:
    """Return Keras's cache folder by Keras's own rules, without importing Keras, which takes seconds."""
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")
    folder = Path(os.environ.get("KERAS_HOME", home / ".keras")).expanduser()
    return folder if os.access(folder, os.W_OK) or not folder.exists() else Path("/tmp/.keras")


def check_reachable(files: list[KerasFile], origin: Path | str) -> None:
    """Raise a UserError if a file is not in the cache and cannot be downloaded; nothing is downloaded yet.

    `origin` is the params file named in the error message.
    """
    missing = [file for file in files if not file.is_whole]
    reasons = {file: _reason_out_of_reach(file.address) for file in missing}
    away = [file for file, reason in reasons.items() if reason]
    if away:
        places = ", ".join(f"{file.address} at {file.place}" for file in away)
        asking = ", ".join(dict.fromkeys(file.asked_by for file in away))
        raise UserError(f"{origin}: {asking}: no download ({reasons[away[0]]}); put {places}, or change these")


def _reason_out_of_reach(address: str) -> str:
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=REACH_TIMEOUT).close()
    except OSError as error:  # the base class of DNS, connection, timeout and HTTP errors
        return _line(error)
    return ""


def load_through_keras(file: KerasFile, load: Callable[[], Loaded]) -> Loaded:
    """Return what `load` returns, a Keras function that downloads `file` unless the cache holds an undamaged copy.

    A damaged or incomplete file is downloaded again, with `ATTEMPTS` attempts in all. Other processes that need
    the same file wait for this one.

    Raises a UserError if the download fails; the message says why and where to put the file by hand.
    """
    file.place.parent.mkdir(parents=True, exist_ok=True)
    timeout = socket.getdefaulttimeout()
    with FileLock(file.place.with_name(f".{file.name}.lock")):
        socket.setdefaulttimeout(SILENCE_TIMEOUT)
        try:
            return _attempt(file, load)
        finally:
            socket.setdefaulttimeout(timeout)


def _attempt(file: KerasFile, load: Callable[[], Loaded]) -> Loaded:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return load()
        except Exception as error:  # Keras raises a bare Exception if a download fails
            if file.is_whole:
                raise  # the download succeeded, so the error has another cause
            reason = f"{file.address}: {_line(error)}"
        if attempt < ATTEMPTS:
            print(f"fitgap: {reason}; attempt {attempt + 1} of {ATTEMPTS} follows", file=sys.stderr)
            time.sleep(PAUSE * attempt)
    file.place.unlink(missing_ok=True)  # incomplete or damaged
    raise UserError(f"params.yaml: {file.asked_by}: {reason}; put the file at {file.place}, or change params.yaml")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
