"""Count multiply-adds, the lower bound to compare measured times with.

The forward pass counts once, the backward pass of trained layers twice. That includes the lowest trained layer, whose
input needs no gradient: half a percent of the total by default. Multiplications with the zero padding of convolutions
count only `with_zeros`.
"""

from fitgap.definitions.vgg16_layers import INPUT, activation_shape, freeze_point, layers_between
from fitgap.params.schema import Params

TOP = "block5_pool"
HELD_OUT = 1800  # printed characters that VGG16 is evaluated on after pre-training


def taps(side: int, with_zeros: bool = True) -> int:
    """Count the multiplications of a 3x3 kernel on a square feature map, with or without zero padding."""
    return (3 * side) ** 2 if with_zeros else (3 * side - 2) ** 2


def vgg16(size: int, below: str = INPUT, top: str = TOP, with_zeros: bool = True) -> int:
    """Count the multiply-adds of one image through VGG16's convolutions above `below` up to `top`."""
    total, channels = 0, activation_shape(below, size)[-1]
    for layer in layers_between(below, top):
        side, _, filters = activation_shape(layer, size)
        if not layer.endswith("_pool"):
            total += taps(side, with_zeros) * channels * filters
        channels = filters
    return total


def notes_network(size: int, filters: list[int], dense_units: int, classes: int, with_zeros: bool = True) -> int:
    """Count the multiply-adds of one image through the notes' network."""
    total, channels = 0, 3
    for width in filters:
        total += taps(size, with_zeros) * (channels + width) * width
        channels, size = width, size // 2
    return total + channels * size * size * dense_units + dense_units * classes


def update(depth: str, size: int = 32) -> dict[str, float]:
    """Count an update's multiply-adds per image, in millions, for fine-tuning from `depth`.

    `whole` runs the whole network, `upper` only the layers from `depth` upwards; `ratio` is their quotient.
    """
    below, above = vgg16(size, INPUT, freeze_point(depth)), vgg16(size, freeze_point(depth))
    return {"whole": (below + 3 * above) / 1e6, "upper": 3 * above / 1e6, "ratio": (below + 3 * above) / (3 * above)}


def pipeline(params: Params, images: dict[str, int], classes: int, with_zeros: bool = True) -> dict[str, int]:
    """Count the pipeline's multiply-adds by stage; heads and linear probes are negligible and left out.

    `images` maps split names to numbers of images, and "all" to the number of prepared images. The learning curve is
    counted with the deepest fine-tuning.
    """
    size, seeds, curve = params.data.image_size, len(params.seeds), params.learning_curve
    seen = 4 * images["train"] + images["validation"]  # per epoch: updates count three times, evaluation once
    of_curve = sum(4 * images_drawn + images["validation"] for images_drawn in curve.sizes)
    notes = notes_network(size, params.scratch.filters, params.scratch.dense_units, classes, with_zeros)
    base, everything, glyphs = vgg16(size, with_zeros=with_zeros), images["all"], params.backbone.glyphs.images
    models = {"scratch": len(params.variants), "highrate": len(params.highrate.variants)}
    trained = {
        name: count * seeds * (params.scratch.epochs * seen + images["test"]) * notes for name, count in models.items()
    }
    uppers = [vgg16(size, freeze_point(depth), with_zeros=with_zeros) for depth in params.finetune.depths]
    tested = len(curve.sizes) * images["test"]
    ways = [(params.scratch.epochs, notes), (params.finetune.epochs, max(uppers))]
    return {
        "backbone": (3 * glyphs + min(HELD_OUT, glyphs)) * base,
        "features": everything * base,
        "asis": images["test"] * base,
        "probe": everything * base,
        **trained,
        "finetune": seeds * (params.finetune.epochs * seen + images["test"]) * sum(uppers),
        "learning_curve": curve.repetitions * sum((epochs * of_curve + tested) * of for epochs, of in ways),
    }
