"""Show how far the training of a model is: seed, epoch, losses, gap and time left."""

from collections.abc import Callable

from fitgap.system.progress import Progress
from fitgap.training.trainer import Row


class Watch:
    """The progress of one model over its seeds.

    Parameters
    ----------
    name : of the model, such as scratch@dropout
    seeds, epochs : the seeds that are trained, and for how many epochs each
    on_epoch : is called with each row and its `seed`
    """

    def __init__(self, name: str, seeds: list[int], epochs: int, on_epoch: Callable[[Row], None]):
        self._seeds, self._epochs, self._on_epoch = seeds, epochs, on_epoch
        self._ended = 0
        self._bar = Progress(desc=name, total=len(seeds) * epochs, unit="epochs")

    def add_epoch(self, row: Row) -> None:
        """Count an epoch and show its losses; `row` is its row of the history."""
        losses = f"training loss {row['train_loss']:.3f}, validation loss {row['val_loss']:.3f}"
        gap = f"gap {row['val_loss'] - row['train_loss']:+.3f}"
        self._bar.set_postfix_str(f"seed {self._ended + 1} of {len(self._seeds)}, {losses}, {gap}", refresh=False)
        self._bar.update()
        self._on_epoch({**row, "seed": self._seeds[self._ended]})

    def end_seed(self) -> None:
        """Count a seed as a whole, also if its training was read from a checkpoint; close after the last one."""
        self._ended += 1
        self._bar.update(self._ended * self._epochs - self._bar.n)
        if self._ended == len(self._seeds):
            self._bar.close()
