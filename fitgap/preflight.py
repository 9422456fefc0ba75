"""Is everything there that params.yaml names? Asked before anything runs: `python -m fitgap.preflight`."""

from pathlib import Path

from fitgap import downloads, params, stage
from fitgap.errors import UserError
from fitgap.params import Params


def check(chosen: Params, origin: Path | str = "params.yaml") -> None:
    """Refuse params that name what is not there, before DVC or Keras says so in its own words.

    Parameters
    ----------
    origin : the file that names it, as the line for the user begins

    Raises
    ------
    UserError
        One line: what is missing, and what to do.
    """
    needed = {"data.path": chosen.data.path} if chosen.data.source == "directory" else {}
    needed |= {"backbone.path": chosen.backbone.path} if chosen.backbone.weights == "path" else {}
    for key, path in needed.items():
        if not Path(path).exists():
            raise UserError(f"{origin}: {key}: {path!r}: not found; paths begin at the repository's top folder")
    downloads.check_reach(downloads.needed(chosen), origin)


if __name__ == "__main__":
    stage.run(lambda: check(params.load()))
