"""Check that all files named in params.yaml are available: `python -m fitgap.programs.preflight`."""

from pathlib import Path

from fitgap import lifecycle
from fitgap.cluster import connection
from fitgap.data.draws import check_drawing
from fitgap.data.prepared import read_prepared
from fitgap.data.record import RECORD, read_result
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.system import downloads, repository
from fitgap.system.errors import UserError
from fitgap.system.files import list_tree

NO_PATH = "data/README.md"  # the default of both paths, which is always there
PREPARED, RESULT = Path("data/prepared"), Path("results/prepare")
WRITTEN = ("data/prepared", "data/backbone", "data/features", "models", "results", "reports", "checkpoints", "mlruns")


def check(params: Params, origin: Path | str = "params.yaml") -> None:
    """Check that the paths and downloads that the params name are available, before DVC or Keras needs them.

    `origin` is the params file named at the start of an error message.

    Raises a UserError if something is missing; the message says what, and what to do.
    """
    repository.check_name(Path.cwd())
    check_repository(Path.cwd())
    if params.data.source == "directory" and Path(params.data.path).is_dir():
        list_tree(Path(params.data.path))  # DVC's own error does not say which name is not UTF-8
    paths = {"data.path": (params.data.path, params.data.source == "directory")}
    paths["backbone.path"] = params.backbone.path, params.backbone.weights == "path"
    for key, (path, is_used) in paths.items():
        if is_used:
            check_path(f"{origin}: {key}", path)
        elif path != NO_PATH and not Path(path).exists():  # `dvc repro` needs it all the same
            raise UserError(f"{origin}: {key}: {path!r}: not found, and not used; write {NO_PATH} there")
    check_sizes(params)
    downloads.check_reachable(needed_downloads(params), origin)
    if connection.is_wanted():
        connection.connect()
        connection.share(params.compute.threads)  # each task checks its node


def check_repository(folder: Path) -> None:
    """Check that DVC finds the Git repository that it needs."""
    if any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return
    from dvc.config import Config  # its import takes a while

    if not Config(str(folder / ".dvc"))["core"].get("no_scm"):
        raise UserError(
            f"{folder}: not a Git repository, which DVC needs; run `git init`, or `dvc config --local core.no_scm true`"
        )


def check_path(key: str, path: str) -> None:
    """Check that a path of the user's own files exists, and is not where the pipeline writes."""
    if path.startswith("~"):
        raise UserError(f"{key}: {path!r}: DVC does not expand ~; write {str(Path(path).expanduser())!r}")
    place, outputs = Path(path).resolve(), [Path(name).resolve() for name in WRITTEN]
    if any(place == output or place in output.parents or output in place.parents for output in outputs):
        raise UserError(f"{key}: {path!r}: fitgap writes its own files there; name another folder")
    if path == NO_PATH:
        raise UserError(f"{key}: {path!r}: names no files of your own; name a folder, such as data/pictures")
    if not place.exists():
        raise UserError(f"{key}: {path!r}: not found; a relative path begins at the repository's top folder")


def check_sizes(params: Params) -> None:
    """Check the learning curve's sizes, if the images are prepared: the stage `prepare` does not run for other sizes.

    Raises a UserError if a repetition could not draw so many.
    """
    if not ((RESULT / RECORD).exists() and PREPARED.exists()):  # a kill may have left one without the other
        return
    if read_result(RESULT).record.params == params.section_params("data"):
        check_drawing(read_prepared(PREPARED), params.data, params.learning_curve.sizes)


def needed_downloads(params: Params) -> list[downloads.KerasFile]:
    """Return the files that a run with these params downloads through Keras."""
    files = [downloads.CIFAR10] if params.data.source == "cifar10" else []
    if params.backbone.weights == "imagenet":
        files += [downloads.IMAGENET_CLASSES, downloads.VGG16_NOTOP]
        files += [downloads.VGG16_WITH_TOP] if params.asis.images else []
    return files


if __name__ == "__main__":
    lifecycle.run(lambda: check(load_params()))
