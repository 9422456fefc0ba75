"""The model that MLflow serves: from RGB images to a table with one column per class.

`models.log_model` copies this file into every model, where MLflow imports it as the top-level module
`fitgap_classifier`. So it must not import fitgap: a machine that serves models has only their requirements.txt. Beside
it stands a copy of fitgap/images/decoding.py, so that picture files become the same pixels as in stage `prepare`.
"""

import base64
import binascii

import mlflow.keras
import numpy as np
import pandas as pd
from fitgap_decoding import UnusableError, decode
from mlflow.exceptions import MlflowException
from mlflow.models import Model

ALLOWED = (
    "allowed: whole numbers from 0 to 255, not scaled, as an array (n, {}, {}, {}) of RGB images; "
    "or picture files as texts in base64"
)
TEXT = (str, np.str_)
CLASS = "class"  # column of the answer, unless a class has this name


class RefusedError(MlflowException):
    """A refusal that keeps its first message: MLflow's server would put the whole request in front of it."""

    @property
    def message(self) -> str:
        """Return the reason."""
        return self._message

    @message.setter
    def message(self, text: str) -> None:
        self._message = getattr(self, "_message", text)


class ImageClassifier:
    """A trained network, from uint8 (n, height, width, 3) to probabilities, and the names of its classes in order."""

    def __init__(self, network, classes: list[str]):
        self.network, self.classes = network, classes

    def predict(self, images: np.ndarray) -> pd.DataFrame:
        """Return a row per image: the likeliest class in column "class", and the probability of each class, float32.

        `images` is an array, (n, height, width, 3), RGB: uint8, or another type that holds whole numbers from 0 to 255.
        Or (n,), str: the contents of picture files in base64, also as data URLs.

        Raises a RefusedError if the images are none of these. The server answers with status 400 and the reason.
        """
        pixels = read_pixels(images, self.network.input_shape[1:])
        answers = pd.DataFrame(self.network.predict(pixels, verbose=0), columns=self.classes)
        if CLASS not in self.classes:
            answers.insert(0, CLASS, answers.idxmax(axis="columns"))
        return answers


def read_pixels(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Return images as uint8 (n, *shape), or raise RefusedError if they are no such images."""
    if _are_texts(images):
        return np.stack([_read_picture(text, number, shape) for number, text in enumerate(images, start=1)])
    numbers = _read_numbers(images, shape)
    if numbers.ndim != 4 or numbers.shape[1:] != tuple(shape) or not len(numbers):
        _refuse(f"shape {numbers.shape}", shape)
    if numbers.dtype == np.uint8:
        return numbers
    low, high = numbers.min(), numbers.max()
    if not (low >= 0 and high <= 255 and np.array_equal(numbers, np.floor(numbers))):  # False for NaN
        _refuse(f"{numbers.dtype} values from {low:g} to {high:g}, not all of them whole numbers from 0 to 255", shape)
    if high == 1:  # the pixels of a black and white image, divided by 255; taken as they are, all would look black
        _refuse(f"no {numbers.dtype} value above 1, so they seem to be scaled", shape)
    return numbers.astype(np.uint8)


def _are_texts(images: np.ndarray) -> bool:
    return isinstance(images, np.ndarray) and images.ndim == 1 and images.size and all(type(x) in TEXT for x in images)


def _read_picture(text: str, number: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Decode a picture file in base64, with or without line breaks; `number` counts from 1, for messages."""
    text = "".join(text.split())
    text = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return decode(base64.b64decode(text, validate=True), shape[0])
    except (binascii.Error, ValueError):  # ValueError: of characters that are not ASCII
        _refuse(f"text {number} is not base64", shape)
    except UnusableError as error:
        _refuse(f"file {number}: {error}", shape)


def _read_numbers(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    is_json = isinstance(images, np.ndarray) and images.dtype.kind == "O"  # see `models._signature`
    try:
        numbers = np.asarray(images.tolist() if is_json else images)
    except ValueError:
        _refuse("images of different shapes", shape)
    if numbers.dtype.kind not in "uif":
        _refuse(f"values of type {numbers.dtype}", shape)
    return numbers


def _refuse(reason: str, shape: tuple[int, int, int]) -> None:
    raise RefusedError.invalid_parameter_value(f"images: {reason}; {ALLOWED.format(*shape)}")


def _load_pyfunc(path: str) -> ImageClassifier:
    """Load the model in a folder. MLflow calls this function by its name."""
    return ImageClassifier(mlflow.keras.load_model(path), Model.load(path).metadata["classes"])
