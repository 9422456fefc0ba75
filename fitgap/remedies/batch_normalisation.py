"""Batch normalisation: each layer's outputs get mean 0 and variance 1 over the batch, then a learned scale and shift.

Ioffe & Szegedy, Batch Normalization, 2015, arXiv:1502.03167.
"""

from fitgap.remedies.remedy import Remedy, Site


class BatchNormalisation(Remedy):
    """BatchNormalization between each layer and its activation."""

    batch_norm: bool = False

    def before_activation(self, x, site: Site):
        """Add a BatchNormalization layer."""
        import keras

        return keras.layers.BatchNormalization(momentum=site.batch_norm_momentum, name=f"{site.name}_norm")(x)
