"""Update the artifact paths in mlflow.db after the repository was moved or copied.

    python -m fitgap.tracking.relocate

MLflow stores artifact locations as absolute paths, for the experiment and for each run and model, and has no command
to change them. All are changed in one transaction.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from fitgap.system import repository
from fitgap.system.errors import UserError
from fitgap.tracking.database import EXPERIMENT, artifact_folder

_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)


def relocate(root: Path) -> int:
    """Update the locations in the database of the repository at `root`; return the number of changes.

    Raises
    ------
    UserError
        If there is no database, or the artifacts were not moved with it.
    """
    database, here = root / "mlflow.db", root / "mlruns"
    if not database.exists():
        raise UserError(f"{database}: not found; run from the repository's top folder")
    with closing(sqlite3.connect(database)) as connection, connection:
        there = _former_folder(connection)
        if there is None or artifact_folder(there).resolve() == here:
            return 0
        if artifact_folder(there).exists() and not here.exists():
            raise UserError(f"{here}: not found; first bring {artifact_folder(there)} there")
        return sum(_change(connection, table, column, there, str(here)) for table, column in _PLACES)


def _former_folder(connection: sqlite3.Connection) -> str | None:
    query = "SELECT artifact_location FROM experiments WHERE name = ?"
    row = connection.execute(query, (EXPERIMENT,)).fetchone()
    return None if row is None or artifact_folder(row[0]) is None else row[0].rpartition("/")[0]


def _change(connection: sqlite3.Connection, table: str, column: str, there: str, here: str) -> int:
    length = len(there)
    statement = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
    return connection.execute(statement, (here, length + 1, length + 1, f"{there}/")).rowcount


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
