"""Dropout: some units are left out in training, none at test time.

Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting, JMLR 15 (2014), 1929-1958.
Keras's is inverted dropout: it scales up in training, where the paper scales down at test time.
"""

from typing import ClassVar

from fitgap.definitions.fields import Fraction
from fitgap.remedies.remedy import Remedy, Site


class Dropout(Remedy):
    """Dropout after each pooling and after the dense layer."""

    candidates: ClassVar[dict[str, tuple]] = {"dropout": (0.1, 0.2, 0.3, 0.4, 0.5)}

    dropout: Fraction = 0.0  # share of the units that is left out

    def after_block(self, x, site: Site):
        """Add a Dropout layer."""
        import keras

        return keras.layers.Dropout(self.dropout, seed=site.derive_seed("dropout"), name=f"{site.name}_dropout")(x)
