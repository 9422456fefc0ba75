"""What Keras downloads at run time: CIFAR-10, ImageNet's weights and class names, and how a bad network is borne.

Keras itself fetches the files into its cache and checks them by hash (`keras.utils.get_file`). It gives up at
the first trouble, waits for ever on a silent server, and lets two processes write one file; here that is mended.
"""

import hashlib
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from filelock import FileLock

from fitgap.system.errors import UserError
from fitgap.system.files import require_space

ATTEMPTS = 3
PAUSE = 2.0  # seconds before the second attempt; twice that before the third
SILENCE_TIMEOUT = 30.0  # seconds without a byte after which a server counts as gone
REACH_TIMEOUT = 10.0  # seconds in which a server must answer when it is only asked whether it is there
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class KerasFile:
    """A file that Keras downloads and keeps.

    Attributes
    ----------
    name, folder : in Keras's cache
    address : where it comes from
    digest : sha256 (64 digits) or md5, as Keras knows it
    room : bytes that it takes in the cache, unpacked too where it is unpacked
    asked_by : the line of params.yaml that needs it
    """

    name: str
    folder: str
    address: str
    digest: str
    room: int
    asked_by: str

    @property
    def place(self) -> Path:
        """Where it stands in the cache, or would."""
        return cache() / self.folder / self.name

    @property
    def is_whole(self) -> bool:
        """Whether it stands in the cache, undamaged."""
        if not self.place.is_file():
            return False
        with self.place.open("rb") as file:
            kind = "sha256" if len(self.digest) == 64 else "md5"
            return hashlib.file_digest(file, kind).hexdigest() == self.digest


# Names, addresses and hashes are those in Keras's own source; tests/code/test_downloads.py compares them with it.
CIFAR10 = KerasFile(
    "cifar-10-batches-py-target_archive",
    "datasets",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    357_000_000,
    "data.source: cifar10",
)
IMAGENET_CLASSES = KerasFile(
    "imagenet_class_index.json",
    "models",
    "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json",
    "c2c37ea517e94d9795004a39431a14cb",
    36_000,
    "backbone.weights: imagenet",
)
VGG16_NOTOP = KerasFile(
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "models",
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "6d6bbae143d832006294945121d1f1fc",
    59_000_000,
    "backbone.weights: imagenet",
)
VGG16_WITH_TOP = KerasFile(
    "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    "models",
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels.h5",
    "64373286793e3c8b2b4e3219cbf3544b",
    554_000_000,
    "asis.images above 0",
)


def cache() -> Path:
    """Give Keras's cache as Keras chooses it, without importing Keras, which takes seconds."""
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")
    chosen = Path(os.environ.get("KERAS_HOME", home / ".keras")).expanduser()
    return chosen if os.access(chosen, os.W_OK) or not chosen.exists() else Path("/tmp/.keras")


def check_reachable(files: list[KerasFile], origin: Path | str) -> None:
    """Refuse, in one line, what is neither in the cache nor within reach; nothing is downloaded yet.

    `origin` is the file that asks for it, as the line names it.
    """
    missing = [file for file in files if not file.is_whole]
    require_space(cache(), sum(file.room for file in missing), "Keras's downloads")
    reasons = {file.address: _unreachable(file.address) for file in missing}
    away = [file for file in missing if reasons[file.address]]
    if away:
        places = ", ".join(f"{file.address} at {file.place}" for file in away)
        asking = ", ".join(dict.fromkeys(file.asked_by for file in away))
        raise UserError(f"{origin}: {asking}: no download ({reasons[away[0].address]}); put {places}, or change these")


def _unreachable(address: str) -> str:
    """Say why a server does not have a file; "" if it does."""
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=REACH_TIMEOUT).close()
    except OSError as error:  # no name, no route, no answer, refused, or an HTTP error: all are of its kind
        return f"{urlsplit(address).hostname}: {_line(getattr(error, 'reason', error))}"
    return ""


def load_through_keras(file: KerasFile, load: Callable[[], Loaded]) -> Loaded:
    """Let Keras load something, which downloads `file` first unless it stands whole in Keras's cache.

    A file that is damaged or half there is fetched again; so is one whose download breaks off, `ATTEMPTS` times
    in all. Other processes that want it wait for this one.

    Parameters
    ----------
    load : calls Keras, which calls `keras.utils.get_file`

    Raises
    ------
    UserError
        If it cannot be had: why, and where to put it by hand.
    """
    file.place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.place.with_name(f".{file.name}.lock")), _socket_timeout():
        if not file.is_whole:
            require_space(file.place.parent, file.room, file.name)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return load()
            except Exception as error:  # Keras raises a bare Exception for whatever befalls a download
                if file.is_whole:
                    raise  # what failed is none of the download's
                _report_failure(file, _line(error), attempt)
                time.sleep(PAUSE * attempt)
    raise AssertionError("the last attempt either returns or raises")


def _report_failure(file: KerasFile, reason: str, attempt: int) -> None:
    if attempt < ATTEMPTS:
        print(f"fitgap: {file.address}: {reason}; attempt {attempt + 1} of {ATTEMPTS} follows", file=sys.stderr)
        return
    file.place.unlink(missing_ok=True)  # a damaged rest
    raise UserError(
        f"params.yaml: {file.asked_by}: {file.address}: {reason}; put the file at {file.place}, or change params.yaml"
    ) from None


@contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _line(error: BaseException | str) -> str:
    return " ".join(str(error).split()) or type(error).__name__
