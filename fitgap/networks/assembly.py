"""Build networks from specifications and weight files: the trained part of each family, and whole networks.

Way 3 of the notes unfreezes upper layers of the base and trains them together with an already trained head.
Everything below the freeze point is constant, so it is computed once: the trained network starts at the freeze
point, and its inputs are cached features. The updates are the same as if the whole network were trained with its
lower layers frozen. The head is trained first and the learning rate is low, because a random head would send large,
meaningless gradients into the pre-trained layers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

from fitgap.definitions.vgg16_layers import activation_shape, feature_shape, freeze_point, layers_between
from fitgap.networks import architectures, vgg16
from fitgap.params.schema import ModelSpec


@dataclass(frozen=True)
class Assembly:
    """Build the networks for images of one size."""

    image_size: int  # side of the square images in pixels
    classes: int  # number of target classes
    backbone: Path | None = None  # the base's weights in Keras's notop format; None for random ones

    def build(
        self, model: ModelSpec, seed: int, start_head: Callable[[keras.Model, int], None] | None = None
    ) -> keras.Model:
        """Build the network that a model's stage trains; it returns logits.

        A fine-tuned model is VGG16 from its depth up with the head on top, from features at the freeze point to logits.
        The head keeps its remedies. The base's layers have none, because they were built without any. `start_head`
        takes the head of a fine-tuned model and the seed, and sets its trained weights.
        """
        if model.family.network == "scratch":
            return architectures.build_cnn(self.image_size, self.classes, model.schedule, model.variant, seed)
        size, below, top = self.image_size, self.top(model), model.head.layer
        cells = feature_shape(top, size)
        head = architectures.build_classifier(cells, self.classes, model.head, model.variant, seed)
        if model.family.name != "finetune":
            return head
        if start_head is not None:
            start_head(head, seed)
        base = vgg16.convolutional_base(self.backbone, size)
        features = keras.Input(activation_shape(below, size), name="features")
        upper = [base.get_layer(name) for name in layers_between(below, top)] + vgg16.cell_layers(top, size)
        return keras.Model(features, vgg16.apply_layers([*upper, *head.layers[1:]], features), name="finetune")

    def whole(self, model: ModelSpec, weights: Path) -> keras.Model:
        """Build a trained model for inference, from raw images to class probabilities.

        `weights` is the file that its stage wrote to models/.
        """
        network = self.build(model, seed=0)
        network.load_weights(weights)
        size, below = self.image_size, []
        if model.family.name != "scratch":
            below = vgg16.frozen_layers(self.backbone, size, self.top(model))
        if model.family.name == "head":
            below += vgg16.cell_layers(model.head.layer, size)
        return architectures.build_whole(network, size, below)

    def top(self, model: ModelSpec) -> str:
        """Return the name of the last frozen layer; the model was trained on its activations."""
        return freeze_point(model.name) if model.family.name == "finetune" else model.head.layer
