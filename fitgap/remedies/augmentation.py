"""Data augmentation: each training image is shifted, rotated, zoomed or flipped at random, anew in every epoch.

Shorten & Khoshgoftaar, A survey on Image Data Augmentation for Deep Learning, 2019, doi:10.1186/s40537-019-0197-0.
The layers are Keras's own; they act in training only, so measured losses and exported models are without them.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fitgap.remedies.remedy import Remedy, Site

Extent = Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False)]


class Augmentation(Remedy):
    """Random geometric changes of the images. What moves in from outside repeats the border."""

    families: ClassVar[tuple[str, ...]] = ("scratch", "highrate")
    reason: ClassVar[str] = "augmentation changes the images, and this model is trained on cached features of them"

    candidates: ClassVar[dict[str, tuple]] = {
        "shift": (0.05, 0.1, 0.15),
        "rotation": (0.015, 0.03, 0.06),
        "zoom": (0.05, 0.1, 0.15),
    }

    shift: Extent = 0.0  # up to this share of the height and of the width, in either direction
    rotation: Extent = 0.0  # up to this share of a full turn, in either direction
    zoom: Extent = 0.0  # up to this share larger or smaller
    flip: Literal["horizontal", "vertical", "horizontal_and_vertical"] | None = None

    def on_images(self, x, site: Site):
        """Add Keras's preprocessing layers."""
        import keras

        layers, border = keras.layers, {"fill_mode": "nearest"}
        made = {
            "shift": lambda **name: layers.RandomTranslation(self.shift, self.shift, **border, **name),
            "rotation": lambda **name: layers.RandomRotation(self.rotation, **border, **name),
            "zoom": lambda **name: layers.RandomZoom((-self.zoom, self.zoom), **border, **name),
            "flip": lambda **name: layers.RandomFlip(self.flip, **name),
        }
        for key, make in made.items():
            if getattr(self, key):
                x = make(seed=site.derive_seed(key), name=f"{site.name}_{key}")(x)
        return x
