"""From params.yaml and files to networks: what each family trains, and the whole network that leaves.

Way 3 of the notes unfreezes upper layers of the base and trains them together with an already trained head.
Everything below the freeze point is constant, so it is not run again: the network that is trained begins at
the freeze point, and its inputs are cached features. Its weights move as they would if the whole network were
trained with its lower layers frozen. The head is trained first and the rate is low, because a random head
would send large, meaningless gradients into the pre-trained layers.
"""

from dataclasses import dataclass
from pathlib import Path

import keras

from fitgap.backbone import vgg16
from fitgap.backbone.layers import activation_shape, freeze_point
from fitgap.networks import remedied
from fitgap.params import Params


@dataclass(frozen=True)
class Assembly:
    """Builds the networks of one set of params.

    Attributes
    ----------
    classes : number of target classes
    backbone : the base's weights in Keras's notop format; None where only `scratch` is built
    """

    params: Params
    classes: int
    backbone: Path | None = None

    def scratch(self, variant: str, seed: int) -> keras.Model:
        """Build the notes' CNN with a variant's remedies, from raw images to logits."""
        remedies, size = self.params.variant(variant), self.params.data.image_size
        return remedied.cnn(size, self.classes, self.params.scratch, remedies, seed)

    def head(self, variant: str, seed: int) -> keras.Model:
        """Build the classifier with a variant's remedies, from features to logits."""
        features = activation_shape(self.params.head.layer, self.params.data.image_size)
        return remedied.classifier(features, self.classes, self.params.head, self.params.variant(variant), seed)

    def finetune(self, depth: str, seed: int, trained_head: Path | None = None) -> keras.Model:
        """Build VGG16 from `depth` up and the head on it, from features at the freeze point to logits.

        The head's weights are read from `trained_head`. Its remedies stay; the base's layers have none, as
        they were not built with any.
        """
        head = self.head(self.params.finetune.head, seed)
        if trained_head is not None:
            head.load_weights(trained_head)
        size, below = self.params.data.image_size, freeze_point(depth)
        base = vgg16.convolutional_base(self.backbone, size)
        features = keras.Input(activation_shape(below, size), name="features")
        upper = vgg16.upper_layers(base, below, self.params.head.layer)
        return keras.Model(features, vgg16.apply([*upper, *head.layers[1:]], features), name="finetune")

    def whole(self, family: str, name: str, weights: Path) -> keras.Model:
        """Build a trained model as it leaves the pipeline: raw images in, class probabilities out.

        Parameters
        ----------
        family, name : "scratch" or "head" and a variant, or "finetune" and a depth
        weights : what the stage left in models/
        """
        network = getattr(self, family)(name, seed=0)
        network.load_weights(weights)
        size = self.params.data.image_size
        frozen = (
            vgg16.frozen_layers(self.backbone, size, self._input_layer(family, name)) if family != "scratch" else []
        )
        return remedied.whole(network, size, frozen)

    def _input_layer(self, family: str, name: str) -> str:
        return freeze_point(name) if family == "finetune" else self.params.head.layer
