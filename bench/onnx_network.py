"""VGG16's convolutional base as an ONNX graph: uint8 RGB images to block5_pool, input and output channels last."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MEAN_BGR = np.array([103.939, 116.779, 123.68], np.float32).reshape(1, 3, 1, 1)


def vgg16_base(weights: dict[str, list[np.ndarray]], size: int) -> onnx.ModelProto:
    """Build the graph from `weights`: layer -> [kernel (3, 3, in, out), bias (out,)]."""
    nodes, constants = _preprocessing()
    x, previous = "preprocessed", "block1"
    for name, (kernel, bias) in weights.items():
        block = name.split("_")[0]
        if block != previous:
            x = _add(nodes, "MaxPool", [x], f"{previous}_pool", kernel_shape=[2, 2], strides=[2, 2])
        given = {f"{name}_kernel": kernel.transpose(3, 2, 0, 1).copy(), f"{name}_bias": bias}
        constants |= given
        x = _add(nodes, "Conv", [x, *given], name, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        x, previous = _add(nodes, "Relu", [x], f"{name}_relu"), block
    x = _add(nodes, "MaxPool", [x], f"{previous}_pool", kernel_shape=[2, 2], strides=[2, 2])
    _add(nodes, "Transpose", [x], "features", perm=[0, 2, 3, 1])
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", size, size, 3])
    features = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", size // 32, size // 32, 512])
    held = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "vgg16", [image], [features], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def _preprocessing() -> tuple[list, dict[str, np.ndarray]]:
    nodes: list = []
    x = _add(nodes, "Cast", ["image"], "float", to=TensorProto.FLOAT)
    x = _add(nodes, "Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
    x = _add(nodes, "Gather", [x, "backwards"], "bgr", axis=1)
    _add(nodes, "Sub", [x, "mean"], "preprocessed")
    return nodes, {"backwards": np.array([2, 1, 0], np.int64), "mean": MEAN_BGR}


def _add(nodes: list, kind: str, inputs: list[str], output: str, **attributes) -> str:
    nodes.append(helper.make_node(kind, inputs, [output], **attributes))
    return output
