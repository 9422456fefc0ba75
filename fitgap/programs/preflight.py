"""Check that all files named in params.yaml are available: `python -m fitgap.programs.preflight`."""

from pathlib import Path

from fitgap import lifecycle
from fitgap.cluster import checks, connection
from fitgap.params.reading import load_params
from fitgap.params.schema import Params
from fitgap.system import downloads, repository
from fitgap.system.errors import UserError
from fitgap.system.trees import list_tree

WRITTEN = ("data/prepared", "data/backbone", "data/features", "models", "results", "reports", "checkpoints", "mlruns")


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
    check_name(Path.cwd())
    check_repository(Path.cwd())
    needed = {"data.path": chosen.data.path} if chosen.data.source == "directory" else {}
    needed |= {"backbone.path": chosen.backbone.path} if chosen.backbone.weights == "path" else {}
    for key, path in needed.items():
        if path.startswith("~"):
            raise UserError(f"{origin}: {key}: {path!r}: DVC does not expand ~; write {str(Path(path).expanduser())!r}")
        if _holds_outputs(Path(path)):
            raise UserError(f"{origin}: {key}: {path!r}: fitgap writes its own files there; name another folder")
        if not Path(path).exists():
            raise UserError(f"{origin}: {key}: {path!r}: not found; paths begin at the repository's top folder")
    if "data.path" in needed and Path(chosen.data.path).is_dir():
        list_tree(Path(chosen.data.path))  # DVC's own error does not say which name is not UTF-8
    downloads.check_reachable(needed_downloads(chosen), origin)
    if connection.is_wanted():
        checks.check_cluster(chosen.compute.threads)


def check_name(folder: Path) -> None:
    """Check that DVC can store the path of the repository.

    Raises
    ------
    UserError
        If it is not UTF-8. Any other name works.
    """
    if shown := repository.misnamed(folder):
        raise UserError(f"{shown}: this folder's name is not UTF-8, which DVC cannot store; rename the folder")


def check_repository(folder: Path) -> None:
    """Check that DVC finds the Git repository that it needs.

    Raises
    ------
    UserError
        If there is none, and DVC is not set to do without.
    """
    if any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return
    from dvc.config import Config  # its import takes a while

    if not Config(str(folder / ".dvc"))["core"].get("no_scm"):
        raise UserError(
            f"{folder}: not a Git repository, which DVC needs; run `git init`, or `dvc config --local core.no_scm true`"
        )


def _holds_outputs(path: Path) -> bool:
    """Whether a folder is, contains, or lies inside one that the pipeline writes to."""
    given, root = path.resolve(), Path.cwd()
    return any(
        given == root / name or given in (root / name).parents or root / name in given.parents for name in WRITTEN
    )


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
