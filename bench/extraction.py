"""Images per second through VGG16's convolutional base: fitgap against others, on the same weights and images."""

import resource
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from bench import machine
from bench.arithmetic import TOP
from bench.side_by_side import Contestant
from fitgap.definitions.vgg16_layers import LAYERS

BATCHES = {32: (32, 128, 256, 512), 224: (1, 8, 16, 32)}  # each peer uses its fastest
IMAGES = {32: 1024, 224: 80}  # per pass: several batches, so that the last one matters little
CONSTANTS = "fitgap, weights as constants"


def images(size: int) -> np.ndarray:
    """Return random images for one pass: uint8 RGB, (n, size, size, 3)."""
    return np.random.default_rng(0).integers(0, 256, (IMAGES[size], size, size, 3), np.uint8)


def contestants(weights: Path, size: int, precision: str) -> list[Contestant]:
    """Return the contestants for feature extraction in a precision, and plain matrix products as the upper bound."""
    peers = {
        "fitgap": partial(ours, weights, size, precision),
        CONSTANTS: partial(with_constants, weights, size, precision),
        "Keras `model.predict`": partial(keras_predict, weights, size, precision),
        "PyTorch": partial(pytorch, weights, size, precision),
        "OpenVINO": partial(openvino, weights, size, precision),
    }
    if precision == "float32":
        peers["ONNX Runtime"] = partial(onnx_runtime, weights, size)
        peers["NumPy products"] = machine.numpy_products
    peers["TensorFlow products"] = partial(machine.tensorflow_products, precision)
    peers["PyTorch products"] = partial(machine.pytorch_products, precision)
    return [Contestant(name, make) for name, make in peers.items()]


def ours(weights: Path, size: int, precision: str) -> Callable:
    """Extract features like the stage `features`."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(0)
    from fitgap.backbone import features

    begin = time.perf_counter()
    return _from_the_start(_in_batches(features.compile_frozen_base(weights, size, [TOP], precision), size), begin)


def with_constants(weights: Path, size: int, precision: str) -> Callable:
    """Extract with the weights as constants of the graph: oneDNN reorders them once instead of in every batch."""
    from fitgap.definitions.determinism import start_tensorflow

    start_tensorflow(0)
    import tensorflow as tf

    from fitgap.networks import vgg16

    begin = time.perf_counter()
    network = vgg16.frozen_base(weights, size, [TOP], precision)
    held = [variable.numpy() for variable in network.variables]

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)], autograph=False)
    def step(part: tf.Tensor) -> dict[str, tf.Tensor]:
        return network.stateless_call([], [tf.constant(array) for array in held], part, training=False)[0]

    step.get_concrete_function()
    return _from_the_start(_in_batches(step, size), begin)


def _in_batches(step: Callable, size: int) -> Callable:
    """Run a base on the images with the batch size of the stage `features`."""
    from fitgap.backbone import features

    def forward(part: np.ndarray) -> np.ndarray:
        return step(part)[TOP].numpy()

    return _passes(forward, images(size), features.batch_size(size))


def keras_predict(weights: Path, size: int, precision: str) -> Callable:
    """Extract as tutorials do: `preprocess_input`, `VGG16(include_top=False)`, `predict` with its default batches."""
    import keras

    keras.config.set_dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision])
    from keras.applications import vgg16

    model = vgg16.VGG16(include_top=False, weights=str(weights), input_shape=(size, size, 3))
    all_images = images(size)

    def predict(part: np.ndarray) -> np.ndarray:
        return model.predict(vgg16.preprocess_input(part.astype(np.float32)), verbose=0)

    return _passes(predict, all_images, len(all_images))


def arrays(weights: Path) -> dict[str, list[np.ndarray]]:
    """Read the weights as Keras 3 stores them: layer -> [kernel (3, 3, in, out), bias (out,)]."""
    import h5py

    names = [name for name in LAYERS if not name.endswith("_pool")]
    keys = ["conv2d", *(f"conv2d_{number}" for number in range(1, len(names)))]
    with h5py.File(weights, "r") as file:
        found = [[file[f"layers/{key}/vars/{part}"][:] for part in (0, 1)] for key in keys]
    return dict(zip(names, found, strict=True))


def pytorch(weights: Path, size: int, precision: str) -> Callable:
    """Extract with PyTorch, channels last."""
    import torch

    from bench.torch_networks import vgg16_base

    dtype = getattr(torch, precision)
    network = vgg16_base(arrays(weights)).to(dtype).to(memory_format=torch.channels_last).eval()
    means = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)

    @torch.inference_mode()
    def forward(part: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(part).permute(0, 3, 1, 2).flip(1).float() - means
        out = network(pixels.to(dtype).contiguous(memory_format=torch.channels_last))
        return out.permute(0, 2, 3, 1).float().numpy()

    return _best(forward, size)


def onnx_runtime(weights: Path, size: int) -> Callable:
    """Extract with ONNX Runtime."""
    import onnxruntime

    from bench.onnx_network import vgg16_base

    session = onnxruntime.InferenceSession(vgg16_base(arrays(weights), size).SerializeToString())
    return _best(lambda part: session.run(None, {"image": part})[0], size)


def openvino(weights: Path, size: int, precision: str) -> Callable:
    """Extract with OpenVINO."""
    compiled = {}

    def forward(part: np.ndarray) -> np.ndarray:
        if len(part) not in compiled:
            compiled[len(part)] = openvino_request(weights, size, precision, len(part))
        return compiled[len(part)].infer([part])[0]

    return _best(forward, size)


def openvino_request(weights: Path, size: int, precision: str, batch: int, **options):
    """Compile the OpenVINO network for one batch size; `options` are further settings of `compile_model`."""
    import openvino

    from bench.onnx_network import vgg16_base

    core = openvino.Core()
    model = core.read_model(vgg16_base(arrays(weights), size).SerializeToString())
    model.reshape([batch, size, size, 3])
    short = {"float32": "f32", "bfloat16": "bf16"}[precision]
    hints = {"INFERENCE_PRECISION_HINT": short, "PERFORMANCE_HINT": "LATENCY", **options}
    return core.compile_model(model, "CPU", hints).create_infer_request()


def _best(forward: Callable, size: int) -> Callable:
    """Choose a contestant's fastest batch size, by one pass each."""
    passes = {batch: _passes(forward, images(size), batch) for batch in BATCHES[size]}
    rates = {batch: one()["images_per_second"] for batch, one in passes.items()}
    return passes[max(rates, key=rates.get)]


def _passes(forward: Callable, all_images: np.ndarray, batch: int) -> Callable:
    def once() -> dict[str, float]:
        begin = time.perf_counter()
        for start in range(0, len(all_images), batch):
            forward(all_images[start : start + batch])
        return {"images_per_second": len(all_images) / (time.perf_counter() - begin), "batch": batch}

    forward(all_images[:batch])
    return once


def _from_the_start(once: Callable, begin: float) -> Callable:
    """Add to a pass's measurements the seconds until the first batch and the process's peak memory in MB."""
    seconds = time.perf_counter() - begin
    return lambda: {
        **once(),
        "first_batch_seconds": seconds,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
