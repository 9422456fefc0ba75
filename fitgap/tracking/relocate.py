"""Update the artifact paths in mlflow.db after the repository was moved or copied.

    python -m fitgap.tracking.relocate

MLflow stores artifact locations as absolute paths, and has no command to change them. They stand in experiments, runs,
logged models, registered model versions, traces and workspaces, and later versions of MLflow may add other places. So
every text in the database that begins with the former folder is changed, all in one transaction.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from fitgap.system import repository
from fitgap.system.errors import UserError
from fitgap.tracking.addresses import artifact_folder, artifact_location

ARTIFACTS = "mlruns"  # the folder of artifacts, in the repository


def relocate(root: Path) -> int:
    """Update the locations in the database of the repository at `root`; return the number of changes.

    Raises
    ------
    UserError
        If there is no database, or the artifacts were not moved with it.
    """
    database, here = root / "mlflow.db", root / ARTIFACTS
    if not database.exists():
        raise UserError(f"{database}: not found; run from the repository's top folder")
    with closing(sqlite3.connect(database)) as connection, connection:
        former = _former_folders(connection)
        for there in former:
            if there.exists() and not here.exists():
                raise UserError(f"{here}: not found; first bring {there} there")
        return sum(_move(connection, there, here) for there in former) + _mend_versions(connection, here)


def _former_folders(connection: sqlite3.Connection) -> list[Path]:
    """Return the folders named mlruns that hold experiments, as their locations say."""
    locations = connection.execute("SELECT artifact_location FROM experiments").fetchall()
    folders = [artifact_folder(location) for (location,) in locations if location]
    return sorted({folder.absolute().parent for folder in folders if folder and folder.parent.name == ARTIFACTS})


def _move(connection: sqlite3.Connection, there: Path, here: Path) -> int:
    """Replace the folder `there` by `here` wherever a text begins with it, as a path or as a file:// address."""
    if there.resolve() == here:
        return 0
    spellings = (str(there), artifact_location(here)), (there.as_uri(), here.as_uri())
    return sum(_change(connection, *place, *pair) for place in _columns(connection) for pair in spellings)


def _columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = [name for (name,) in connection.execute(tables)]
    query = "SELECT name FROM pragma_table_info(?)"
    return [(table, column) for table in names for (column,) in connection.execute(query, (table,))]


def _change(connection: sqlite3.Connection, table: str, column: str, there: str, here: str) -> int:
    length = len(there)
    statement = f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) WHERE substr("{column}", 1, ?) = ?'
    return connection.execute(statement, (here, length + 1, length + 1, f"{there}/")).rowcount


def _mend_versions(connection: sqlite3.Connection, here: Path) -> int:
    """Let registered versions of logged models point to the models' files.

    An earlier version of this program changed the models' locations, but not those of the registered versions.
    """
    models = connection.execute("SELECT 'models:/' || model_id, artifact_location FROM logged_models").fetchall()
    statement = "UPDATE model_versions SET storage_location = ? WHERE source = ? AND storage_location <> ?"
    inside = f"{artifact_location(here)}/", f"{here.as_uri()}/"
    found = [(location, source, location) for source, location in models if location.startswith(inside)]
    return sum(connection.execute(statement, row).rowcount for row in found)


def main() -> int:
    """Run `relocate` on the repository in the current folder; return the exit code."""
    try:
        print(f"mlflow.db: {relocate(repository.root())} locations now point to {repository.root() / 'mlruns'}")
    except UserError as error:
        print(f"fitgap: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
