"""One pass of VGG16's frozen base, from uint8 images to `block5_pool`: fitgap beside others, on the same weights."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.race import OURS, Pass, apart, race, timed

TOP = "block5_pool"
IMAGES = {32: 512, 96: 226}  # per pass, by image size; at 96x96 two of fitgap's batches
BATCHES = {32: (32, 128, 512), 96: (16,)}  # each peer uses its fastest


def measure(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Measure a pass at both image sizes, with random weights, and compare what the contestants return."""
    adds = apart(write_weights, weights := folder / "vgg16_notop.weights.h5")
    return [_compare(weights, size, adds * (size // 32) ** 2, rounds) for size in IMAGES]


def write_weights(file: Path) -> int:
    """Write random weights in Keras's notop format; return the multiply-adds of an image of 32x32."""
    from bench.arithmetic import forward
    from fitgap.networks.vgg16 import convolutional_base

    base = convolutional_base(None, 32)
    base.save_weights(file)
    return sum(forward(base))


def _compare(weights: Path, size: int, adds: int, rounds: int) -> dict[str, Any]:
    makers = {OURS: ours, "Keras `predict`": keras_predict, "PyTorch": pytorch, "OpenVINO": openvino}
    makers["ONNX Runtime"] = onnx_runtime
    contestants = {name: partial(make, weights, size) for name, make in makers.items()}
    rows = race(contestants, rounds, f"base, {size}x{size}")
    answers = {row["contestant"]: np.array(row.pop("answer")) for row in rows}
    expected = answers[OURS]
    return {
        "what": f"one pass of frozen VGG16: {IMAGES[size]:,} images of {size}x{size}",
        "images": IMAGES[size],
        "rows": [{**row, "multiply_adds": IMAGES[size] * adds} for row in rows],
        "difference": max(float(np.linalg.norm(a - expected) / np.linalg.norm(expected)) for a in answers.values()),
    }


def images(size: int) -> np.ndarray:
    """Return random images for one pass: uint8 RGB, (n, size, size, 3)."""
    return np.random.default_rng(0).integers(0, 256, (IMAGES[size], size, size, 3), np.uint8)


def ours(weights: Path, size: int) -> Pass:
    """Extract features like the stage `features`."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(0)
    from fitgap.backbone.features import FrozenBase, batch_size

    base, given = FrozenBase(weights, size, {TOP: TOP}), images(size)
    starts = range(0, len(given), batch_size(size))
    return timed(lambda: np.concatenate([base.activations_from(given, start)[TOP] for start in starts]), _answer)


def keras_predict(weights: Path, size: int) -> Pass:
    """Extract as tutorials do: `preprocess_input`, `VGG16(include_top=False)`, `predict` with its default batches."""
    from keras.applications import vgg16

    model, given = vgg16.VGG16(include_top=False, weights=str(weights), input_shape=(size, size, 3)), images(size)
    return timed(lambda: model.predict(vgg16.preprocess_input(given.astype(np.float32)), verbose=0), _answer)


def pytorch(weights: Path, size: int) -> Pass:
    """Extract with PyTorch, channels last."""
    import torch

    base = torch.inference_mode()(_torch_base(weights).eval())
    return _fastest(lambda batch: base(torch.from_numpy(batch)).numpy(), size)


def onnx_runtime(weights: Path, size: int) -> Pass:
    """Extract with ONNX Runtime."""
    import onnxruntime

    from bench.peers import as_onnx

    session = onnxruntime.InferenceSession(as_onnx(_torch_base(weights), size))
    return _fastest(lambda batch: session.run(None, {"image": batch})[0], size)


def openvino(weights: Path, size: int) -> Pass:
    """Extract with OpenVINO, in float32 like all others, compiled for each batch size."""
    import openvino

    from bench.peers import as_onnx

    core, requests = openvino.Core(), {}
    model = core.read_model(as_onnx(_torch_base(weights), size))
    hints = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}

    def forward(batch: np.ndarray) -> np.ndarray:
        if len(batch) not in requests:
            model.reshape(list(batch.shape))
            requests[len(batch)] = core.compile_model(model, "CPU", hints).create_infer_request()
        return requests[len(batch)].infer([batch])[0]

    return _fastest(forward, size)


def _torch_base(weights: Path):
    from bench.peers import Base
    from fitgap.networks.vgg16 import convolutional_base

    layers = convolutional_base(weights, 32).layers
    return Base({layer.name: layer.get_weights() for layer in layers if layer.weights})


def _fastest(forward: Callable, size: int) -> Pass:
    """Return passes with the batch size that is fastest in one pass each."""
    given = images(size)

    def whole(batch: int) -> np.ndarray:
        return np.concatenate([forward(given[start : start + batch]) for start in range(0, len(given), batch)])

    passes = {batch: timed(partial(whole, batch), _answer) for batch in BATCHES[size]}
    seconds = {batch: once()["seconds"] for batch, once in passes.items()}
    return passes[min(seconds, key=seconds.get)]


def _answer(features: np.ndarray) -> dict[str, Any]:
    return {"answer": np.ravel(features[0]).tolist()}  # the features of the first image
