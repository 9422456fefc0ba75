"""What a remedy is: the keys that it adds to a variant, and where it acts in a network and its training.

A remedy is one module in this package with one subclass of `Remedy`; nothing else names it. Its fields become keys of
every entry of `variants` in params.yaml, with their types and limits. It acts by overriding one or more methods.
Keras is imported inside the methods: params are read without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fitgap.definitions.determinism import derive_seed
from fitgap.definitions.families import TRAINED
from fitgap.definitions.fields import Section

if TYPE_CHECKING:
    import keras

Loss = Callable[[Any, Any], Any]  # int64 labels (n,), float32 logits (n, classes) -> float32 losses (n,)


@dataclass(frozen=True)
class Site:
    """A place in a network where a remedy may act."""

    name: str  # of the layer or block, unique in the network
    seed: int  # of the model
    batch_norm_momentum: float  # of the network, from params.yaml

    def derive_seed(self, suffix: str) -> int:
        """Return a seed for a random layer named `<name>_<suffix>`, so that equal layers draw equally."""
        return derive_seed(self.seed, f"{self.name}_{suffix}")


class Remedy(Section):
    """Base of all remedies. A field whose value is falsy (0, false, null) is switched off."""

    # Key -> the candidates that `tune` in params.yaml stands for, the weakest first.
    candidates: ClassVar[dict[str, tuple]] = {}
    # The model families for which it makes sense; in others, a variant that has it gets no model.
    families: ClassVar[tuple[str, ...]] = TRAINED
    reason: ClassVar[str] = ""  # why it makes no sense in the other families, as the report says it

    @property
    def is_on(self) -> bool:
        """Whether any of its fields is switched on."""
        return any(getattr(self, name) for name in type(self).model_fields)

    def on_images(self, x, site: Site):
        """Transform images, float32 (n, height, width, 3) from 0 to 1, right behind the input."""
        return x

    def kernel_options(self) -> dict[str, Any]:
        """Return keyword arguments for each layer with a kernel, such as `kernel_regularizer`."""
        return {}

    def before_activation(self, x, site: Site):
        """Act between a layer and its activation."""
        return x

    def after_block(self, x, site: Site):
        """Act after each pooling and after the dense layer's activation."""
        return x

    def loss(self) -> Loss | None:
        """Return what is minimised in place of the cross-entropy; the measured loss stays the cross-entropy."""
        return None

    def patience(self) -> int | None:
        """Return how many epochs without a lower validation loss end the training; None for no such end."""
        return None

    def optimizer(self, learning_rate: float) -> keras.optimizers.Optimizer | None:
        """Return an optimizer in place of Adam."""
        return None
