"""Check that all files named in params.yaml are available: `python -m fitgap.programs.preflight`."""

from pathlib import Path

from fitgap import lifecycle
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.system import downloads
from fitgap.system.errors import UserError


def check(chosen: Params, origin: Path | str = "params.yaml") -> None:
    """Check that the paths and downloads that the params name are available, before DVC or Keras needs them.

    Parameters
    ----------
    origin : the params file named at the start of an error message

    Raises
    ------
    UserError
        If something is missing; the message says what, and what to do.
    """
    needed = {"data.path": chosen.data.path} if chosen.data.source == "directory" else {}
    needed |= {"backbone.path": chosen.backbone.path} if chosen.backbone.weights == "path" else {}
    for key, path in needed.items():
        if not Path(path).exists():
            raise UserError(f"{origin}: {key}: {path!r}: not found; paths begin at the repository's top folder")
    downloads.check_reachable(needed_downloads(chosen), origin)


def needed_downloads(chosen: Params) -> list[downloads.KerasFile]:
    """Return the files that a run with these params downloads through Keras."""
    files = [downloads.CIFAR10] if chosen.data.source == "cifar10" else []
    if chosen.backbone.weights == "imagenet":
        files += [
            downloads.IMAGENET_CLASSES,
            downloads.VGG16_NOTOP,
            *([downloads.VGG16_WITH_TOP] if chosen.asis.images else []),
        ]
    return files


if __name__ == "__main__":
    lifecycle.run(lambda: check(load_params()))
