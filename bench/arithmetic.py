"""Count multiply-adds of convolutions and dense layers, the work that measured times stand beside.

The forward pass counts once, the backward pass of trained layers twice. That includes the lowest trained layer, whose
input needs no gradient: half a percent of the total by default. Multiplications with the zero padding count too.
"""

import math

from fitgap.data.draws import TRIAL_DRAWS
from fitgap.definitions.measurements import MOMENTS
from fitgap.params.schema import Params

HELD_OUT = 1800  # printed characters that VGG16 is evaluated on after pre-training


def forward(network) -> tuple[int, int]:
    """Count the multiply-adds of one image through a Keras model's frozen layers, and through its trained ones."""
    frozen = trained = 0
    for layer in network.layers:
        if hasattr(layer, "layers"):
            below, above = forward(layer)
            frozen, trained = frozen + below, trained + above
        elif hasattr(layer, "kernel"):
            count = math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape)
            frozen, trained = (frozen, trained + count) if layer.trainable else (frozen + count, trained)
    return frozen, trained


def training(network, epochs: int, images: int, evaluated: int) -> int:
    """Count a training's multiply-adds; each epoch updates with `images` and evaluates `evaluated` images."""
    frozen, trained = forward(network)
    return epochs * (images * (frozen + 3 * trained) + evaluated * (frozen + trained))


def models(params: Params) -> dict[str, list[str]]:
    """Return the models that the pipeline trains once per seed: family -> variants or depths."""
    trained = {
        family: [name for name in params.variants if not params.model(family, name).obstacle]
        for family in ("scratch", "head")
    }
    return trained | {"highrate": list(params.highrate.variants), "finetune": list(params.finetune.depths)}


def trial_trainings(trials: int) -> int:
    """Return how many trainings a model's trials take: all on one draw, the better half on the next (`better_half`)."""
    return trials and sum(trials if draw == 0 else max(2, -(-trials // 2**draw)) for draw in range(TRIAL_DRAWS))


def pipeline(params: Params, images: dict[str, int], classes: int) -> dict[str, int]:
    """Count the pipeline's multiply-adds by stage; linear probes are negligible and left out.

    `images` maps "train", "validation" and "test" to numbers of images, and "all" to that of the prepared ones. The
    learning curve is counted with the baselines, and a model is tested at three moments.
    """
    from fitgap.networks.assembly import Assembly
    from fitgap.networks.vgg16 import convolutional_base
    from fitgap.training.learning_curve import count_passes

    assembly, glyphs = Assembly(params.data.image_size, classes), params.backbone.glyphs.images
    base = sum(forward(convolutional_base(None, params.data.image_size)))

    def count(family: str, name: str, drawn: int, trials: bool = False) -> int:
        model, validation = params.model(family, name), images["validation"]
        network, epochs = assembly.build(model, seed=0), model.schedule.epochs
        if trials:
            return trial_trainings(model.trials) * training(network, epochs, drawn, validation)
        passes = count_passes(drawn, images["train"], model.schedule.batch_size)
        tested = len(MOMENTS) * images["test"] * sum(forward(network))
        return training(network, epochs, passes * drawn, drawn + validation) + tested

    drawn, seeds = images["train"], len(params.seeds)
    ways = (("scratch", "baseline"), ("head", "baseline"))
    of_curve = sum(count(*way, size) for way in ways for size in params.learning_curve.sizes)
    return {
        "backbone": (3 * glyphs + min(HELD_OUT, glyphs)) * base,
        "features": images["all"] * base,
        "asis": images["test"] * base,
        **{
            family: sum(seeds * count(family, name, drawn) + count(family, name, drawn, trials=True) for name in names)
            for family, names in models(params).items()
        },
        "learning_curve": params.learning_curve.repetitions * of_curve,
    }
