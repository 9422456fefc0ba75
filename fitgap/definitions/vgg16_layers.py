"""The names of VGG16's convolutional layers, in order from the input to the output.

This module does not import TensorFlow, so that params.yaml can be validated quickly.

Source: K. Simonyan, A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
2014, arXiv:1409.1556 (configuration D); the names are those of `keras.applications.VGG16`.
"""

CONVOLUTIONS_PER_BLOCK = {"block1": 2, "block2": 2, "block3": 3, "block4": 3, "block5": 3}
FILTERS_PER_BLOCK = {"block1": 64, "block2": 128, "block3": 256, "block4": 512, "block5": 512}
BLOCKS = tuple(CONVOLUTIONS_PER_BLOCK)
POOLS = tuple(f"{block}_pool" for block in BLOCKS)
LAYERS = tuple(
    name
    for block, count in CONVOLUTIONS_PER_BLOCK.items()
    for name in [*(f"{block}_conv{i}" for i in range(1, count + 1)), f"{block}_pool"]
)
INPUT = "image"  # the name of the network's input
DEPTHS = BLOCKS + tuple(name for name in LAYERS if not name.endswith("_pool"))


def first_layer(depth: str) -> str:
    """Return the first trainable layer when the network is unfrozen from `depth` on.

    `depth` is a block ("block5") or a convolution ("block5_conv3"). A block begins at its first convolution.
    """
    return f"{depth}_conv1" if depth in BLOCKS else depth


def freeze_point(depth: str) -> str:
    """Return the last frozen layer when the network is unfrozen from `depth` on; "image" if no layer is frozen."""
    position = LAYERS.index(first_layer(depth))
    return LAYERS[position - 1] if position else INPUT


def layers_between(below: str, top: str) -> tuple[str, ...]:
    """Return the layers after `below` up to and including `top`; both are layer names or "image"."""
    whole = (INPUT, *LAYERS)
    return whole[whole.index(below) + 1 : whole.index(top) + 1]


def activation_shape(layer: str, image_size: int) -> tuple[int, int, int]:
    """Return the shape (height, width, channels) of one feature map at `layer`, or of the input for "image"."""
    if layer == INPUT:
        return image_size, image_size, 3
    block = layer.split("_")[0]
    halvings = BLOCKS.index(block) + layer.endswith("_pool")
    side = image_size >> halvings
    return side, side, FILTERS_PER_BLOCK[block]


CELLS = 4  # heads and probes see at most 4x4 cells of a feature map; block1's whole map has 16 times the columns


def cell_side(layer: str, image_size: int) -> int:
    """Return the side of the square of positions of a feature map at `layer` that are averaged into one cell."""
    return -(-activation_shape(layer, image_size)[0] // CELLS)


def feature_shape(layer: str, image_size: int) -> tuple[int, int, int]:
    """Return the shape (height, width, channels) of the cells of a feature map at `layer`."""
    side, _, channels = activation_shape(layer, image_size)
    cells = -(-side // cell_side(layer, image_size))
    return cells, cells, channels


def count_parameters(top: str) -> int:
    """Return the number of parameters up to and including layer `top`; 14,714,688 for "block5_pool", the whole base."""
    channels, total = 3, 0
    for layer in layers_between(INPUT, top):
        if layer.endswith("_pool"):
            continue
        filters = FILTERS_PER_BLOCK[layer.split("_")[0]]
        total += (9 * channels + 1) * filters
        channels = filters
    return total
