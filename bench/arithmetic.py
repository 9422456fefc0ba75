"""How many multiply-adds there are: what no program can do without, and so what the seconds are to be held against.

Forward counts once, backward twice where weights are trained (for the lowest trained layer, too, whose input needs no
gradient: by default half a percent of all). A convolution multiplies zeros beyond the images' borders, unless it takes
care not to: they are counted `with_zeros`, and else left out.
"""

from fitgap.definitions.vgg16_layers import INPUT, activation_shape, freeze_point, layers_between
from fitgap.params.schema import Params

TOP = "block5_pool"
HELD_OUT = 1800  # printed characters that VGG16 answers on after it has learned them


def taps(side: int, with_zeros: bool = True) -> int:
    """Count how often a kernel of 3x3 meets a position of a square map, or one beyond its border."""
    return (3 * side) ** 2 if with_zeros else (3 * side - 2) ** 2


def vgg16(size: int, below: str = INPUT, top: str = TOP, with_zeros: bool = True) -> int:
    """Count those of one image through VGG16's convolutions above `below` up to `top`."""
    total, channels = 0, activation_shape(below, size)[-1]
    for layer in layers_between(below, top):
        side, _, filters = activation_shape(layer, size)
        if not layer.endswith("_pool"):
            total += taps(side, with_zeros) * channels * filters
        channels = filters
    return total


def notes_network(size: int, filters: list[int], dense_units: int, classes: int, with_zeros: bool = True) -> int:
    """Count those of one image through the notes' network."""
    total, channels = 0, 3
    for width in filters:
        total += taps(size, with_zeros) * (channels + width) * width
        channels, size = width, size // 2
    return total + channels * size * size * dense_units + dense_units * classes


def update(depth: str, size: int = 32) -> dict[str, float]:
    """Count those of an update from `depth` on with one image, in millions: the whole network, the upper part alone."""
    below, above = vgg16(size, INPUT, freeze_point(depth)), vgg16(size, freeze_point(depth))
    return {"whole": (below + 3 * above) / 1e6, "upper": 3 * above / 1e6, "ratio": (below + 3 * above) / (3 * above)}


def pipeline(params: Params, images: dict[str, int], classes: int, with_zeros: bool = True) -> dict[str, int]:
    """Count those of the pipeline by stage; heads and linear probes are left out, for they have next to none.

    `images` has the numbers of training, validation and test images, under the names of the splits.
    """
    size, seeds = params.data.image_size, len(params.seeds)
    seen = 4 * images["train"] + images["validation"]  # an epoch's images: three times in updates, once evaluated
    notes = notes_network(size, params.scratch.filters, params.scratch.dense_units, classes, with_zeros)
    base, everything, glyphs = vgg16(size, with_zeros=with_zeros), sum(images.values()), params.backbone.glyphs.images
    models = {"scratch": len(params.variants), "highrate": len(params.highrate.variants)}
    trained = {
        name: count * seeds * (params.scratch.epochs * seen + images["test"]) * notes for name, count in models.items()
    }
    upper = sum(vgg16(size, freeze_point(depth), with_zeros=with_zeros) for depth in params.finetune.depths)
    return {
        "backbone": (3 * glyphs + min(HELD_OUT, glyphs)) * base,
        "features": everything * base,
        "asis": images["test"] * base,
        "probe": everything * base,
        **trained,
        "finetune": seeds * (params.finetune.epochs * seen + images["test"]) * upper,
    }
