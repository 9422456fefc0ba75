"""L1, L2 and ElasticNet: a penalty on the weights is added to the loss.

L1 (sum of absolute values; Tibshirani 1996, doi:10.1111/j.2517-6161.1996.tb02080.x) drives many weights to zero. L2
(sum of squares; Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634) keeps all of them small. ElasticNet is both
(Zou & Hastie 2005, doi:10.1111/j.1467-9868.2005.00503.x).
"""

from typing import Any, ClassVar

from fitgap.definitions.fields import Strength
from fitgap.remedies.remedy import Remedy


class WeightPenalty(Remedy):
    """A penalty on each kernel, not on biases."""

    candidates: ClassVar[dict[str, tuple]] = {
        "l1": (0.00003, 0.0001, 0.0003, 0.001),
        "l2": (0.0003, 0.001, 0.003, 0.01),
    }

    l1: Strength = 0.0  # weight of the sum of absolute values
    l2: Strength = 0.0  # weight of the sum of squares

    def kernel_options(self) -> dict[str, Any]:
        """Return Keras's regularizer; given to a built layer, it would be ignored silently."""
        import keras

        return {"kernel_regularizer": keras.regularizers.L1L2(self.l1, self.l2)}
