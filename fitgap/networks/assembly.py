"""Build networks from params.yaml and weight files: the trained part of each family, and whole networks.

Way 3 of the notes unfreezes upper layers of the base and trains them together with an already trained head.
Everything below the freeze point is constant, so it is computed once: the trained network starts at the freeze
point, and its inputs are cached features. The updates are the same as if the whole network were trained with its
lower layers frozen. The head is trained first and the learning rate is low, because a random head would send large,
meaningless gradients into the pre-trained layers.
"""

from dataclasses import dataclass
from pathlib import Path

import keras

from fitgap.definitions.vgg16_layers import activation_shape, freeze_point
from fitgap.networks import architectures, vgg16
from fitgap.params.schema import ModelSpec, Params
from fitgap.params.variants import Variant


@dataclass(frozen=True)
class Assembly:
    """Build the networks for one set of params.

    Attributes
    ----------
    classes : number of target classes
    backbone : the base's weights in Keras's notop format; None if only `scratch` is used
    """

    params: Params
    classes: int
    backbone: Path | None = None

    def scratch(self, variant: Variant, seed: int) -> keras.Model:
        """Build the notes' CNN with a variant's remedies, from raw images to logits."""
        return architectures.build_cnn(self.params.data.image_size, self.classes, self.params.scratch, variant, seed)

    def head(self, variant: Variant, seed: int) -> keras.Model:
        """Build the classifier with a variant's remedies, from features to logits."""
        features = activation_shape(self.params.head.layer, self.params.data.image_size)
        return architectures.build_classifier(features, self.classes, self.params.head, variant, seed)

    def finetune(self, depth: str, variant: Variant, seed: int, trained_head: Path | None = None) -> keras.Model:
        """Build VGG16 from `depth` up with the head on top, from features at the freeze point to logits.

        The head's weights are read from `trained_head`. The head keeps its remedies (`variant`). The base's layers
        have none, because they were built without any.
        """
        head = self.head(variant, seed)
        if trained_head is not None:
            head.load_weights(trained_head)
        size, below = self.params.data.image_size, freeze_point(depth)
        base = vgg16.convolutional_base(self.backbone, size)
        features = keras.Input(activation_shape(below, size), name="features")
        upper = vgg16.upper_layers(base, below, self.params.head.layer)
        return keras.Model(features, vgg16.apply_layers([*upper, *head.layers[1:]], features), name="finetune")

    def build(self, model: ModelSpec, seed: int) -> keras.Model:
        """Build the network that a model's stage trains; it returns logits."""
        if model.family.name == "finetune":
            return self.finetune(model.name, model.variant, seed)
        return (
            self.scratch(model.variant, seed) if model.family.network == "scratch" else self.head(model.variant, seed)
        )

    def whole(self, model: ModelSpec, weights: Path) -> keras.Model:
        """Build a trained model for inference, from raw images to class probabilities.

        `weights` is the file that its stage wrote to models/.
        """
        network = self.build(model, seed=0)
        network.load_weights(weights)
        size = self.params.data.image_size
        below = [] if model.family.name == "scratch" else vgg16.frozen_layers(self.backbone, size, self._top(model))
        return architectures.build_whole(network, size, below)

    def _top(self, model: ModelSpec) -> str:
        """Return the name of the last frozen layer; the model was trained on its activations."""
        return freeze_point(model.name) if model.family.name == "finetune" else self.params.head.layer
