"""Decoupled weight decay: every update also shrinks the weights, beside the gradient and not through it.

Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019, arXiv:1711.05101 (AdamW).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fitgap.definitions.fields import Strength
from fitgap.remedies.remedy import Remedy

if TYPE_CHECKING:
    import keras

UNDECAYED = ("bias", "gamma", "beta")  # biases, and the scale and shift of batch normalisation


class WeightDecay(Remedy):
    """AdamW in place of Adam."""

    candidates: ClassVar[dict[str, tuple]] = {"weight_decay": (0.5, 1.0, 2.0, 4.0, 8.0)}

    weight_decay: Strength = 0.0  # an update shrinks a weight by this times the learning rate

    def optimizer(self, learning_rate: float) -> keras.optimizers.Optimizer:
        """Return AdamW, with decay of kernels only."""
        import keras

        adamw = keras.optimizers.AdamW(learning_rate, weight_decay=self.weight_decay)
        adamw.exclude_from_weight_decay(var_names=UNDECAYED)
        return adamw
