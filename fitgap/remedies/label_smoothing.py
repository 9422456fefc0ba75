"""Label smoothing: the right class is asked for a little less than all of the probability.

Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015, arXiv:1512.00567, section 7.
"""

from typing import ClassVar

from fitgap.definitions.fields import Fraction
from fitgap.remedies.remedy import Loss, Remedy


class LabelSmoothing(Remedy):
    """Smoothed targets in the objective, never in the measured loss."""

    candidates: ClassVar[dict[str, tuple]] = {"label_smoothing": (0.05, 0.1, 0.2, 0.3, 0.4)}

    label_smoothing: Fraction = 0.0  # share of the target that is spread over all classes

    def loss(self) -> Loss:
        """Return the cross-entropy against smoothed targets."""
        import keras

        def smoothed(labels, logits):
            targets = keras.ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
            return keras.losses.categorical_crossentropy(
                targets, logits, from_logits=True, label_smoothing=self.label_smoothing
            )

        return smoothed
