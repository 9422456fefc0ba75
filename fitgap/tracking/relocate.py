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
from fitgap.tracking.addresses import ARTIFACTS, DATABASE


def relocate(root: Path) -> int:
    """Update the locations in the database of the repository at `root`; return the number of changes."""
    here = root / ARTIFACTS
    with closing(sqlite3.connect(root / DATABASE)) as connection, connection:
        former = _former_folders(connection) - {here}
        columns = _columns(connection)
        return sum(_replace(connection, *column, str(folder), str(here)) for folder in former for column in columns)


def _former_folders(connection: sqlite3.Connection) -> set[Path]:
    """Return the folders named mlruns that hold experiments, as their locations say."""
    locations = connection.execute("SELECT artifact_location FROM experiments").fetchall()
    folders = {Path(location).parent for (location,) in locations if location}
    return {folder for folder in folders if folder.is_absolute() and folder.name == ARTIFACTS}


def _columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = [name for (name,) in connection.execute(tables)]
    query = "SELECT name FROM pragma_table_info(?)"
    return [(table, column) for table in names for (column,) in connection.execute(query, (table,))]


def _replace(connection: sqlite3.Connection, table: str, column: str, former: str, here: str) -> int:
    length = len(former)
    statement = f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) WHERE substr("{column}", 1, ?) = ?'
    return connection.execute(statement, (here, length + 1, length + 1, f"{former}/")).rowcount


def main() -> None:
    """Run `relocate` on the repository in the current folder."""
    top = repository.root()
    if not (top / DATABASE).exists():
        sys.exit(f"fitgap: {top / DATABASE}: not found; run from the repository's top folder")
    print(f"{DATABASE}: {relocate(top)} locations now point to {top / ARTIFACTS}")


if __name__ == "__main__":
    main()
