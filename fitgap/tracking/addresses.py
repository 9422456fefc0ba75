"""Addresses of the tracking store, its database file and its artifact folders; folder names may hold any sign.

SQLAlchemy decodes %XX in a database's address and ends the path at `?`. MLflow decodes %XX in a plain artifact path,
and writes it into SQL between quotes. So a path that holds such signs becomes a quoted address.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit
from urllib.request import url2pathname

from fitgap.system import repository
from fitgap.system.errors import UserError
from fitgap.tracking.failures import redacted

DATABASE = "mlflow.db"
NO_QUERY: Mapping = MappingProxyType({})
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def tracking_uri() -> str:
    """Return the store's address: MLFLOW_TRACKING_URI, or mlflow.db in the repository.

    Raises
    ------
    UserError
        If the address is a folder, which MLflow 3 refuses as a store, or a file whose path is not UTF-8.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"sqlite:///{DATABASE}"
    if kind(given) == "sqlite":
        return _absolute(given)
    scheme = urlsplit(given).scheme
    if (scheme == "file" or len(scheme) < 2) and given != "databricks" and not _folders_allowed():
        raise UserError(
            f"MLFLOW_TRACKING_URI: {redacted(given)!r} is a folder, which MLflow 3 does not support; allowed: "
            f"sqlite:///FILE, http://SERVER, a database's address; unset it to use {DATABASE} in the repository"
        )
    return given


def kind(uri: str) -> str:
    """Return the scheme of an address without the driver: sqlite, postgresql, http."""
    return urlsplit(uri).scheme.split("+")[0]


def sqlite_uri(file: Path, query: Mapping[str, str | Sequence[str]] = NO_QUERY) -> str:
    """Return the address of a SQLite file, with the path quoted where necessary."""
    from sqlalchemy import URL

    is_plain = URL.create("sqlite", database=str(file)).render_as_string() == f"sqlite:///{file}"
    # For `sqlite:///`, MLflow would create the folder with the quoted name (_make_parent_dirs_if_sqlite).
    driver = "sqlite" if is_plain else "sqlite+pysqlite"
    return URL.create(driver, database=str(file), query=query).render_as_string()


def sqlite_file(uri: str) -> Path:
    """Return the file of a SQLite address."""
    from sqlalchemy import make_url

    return Path(make_url(uri).database or "")


def artifact_location(folder: Path) -> str:
    """Return the location of an artifact folder as MLflow stores it: its path, or a file: address where necessary."""
    return str(folder) if folder.as_uri() == f"file://{folder}" else folder.as_uri()


def artifact_folder(location: str) -> Path | None:
    """Return the local folder of an artifact location, or None if it is not on this machine."""
    parts = urlsplit(location)
    if parts.scheme not in ("", "file") and len(parts.scheme) > 1:  # one letter: a Windows drive
        return None
    return Path(url2pathname(parts.path) if parts.scheme == "file" else location)


def _absolute(uri: str) -> str:
    """Return a SQLite address with an absolute path: a relative one would point into DVC's temporary copy."""
    from sqlalchemy import make_url

    file = repository.root() / sqlite_file(uri)
    if shown := repository.misnamed(file.parent):
        raise UserError(
            f"{shown}: this folder's name is not UTF-8, which MLflow cannot store; rename the folder, or set "
            "MLFLOW_TRACKING_URI to a server"
        )
    return sqlite_uri(file, make_url(uri).query)


def _folders_allowed() -> bool:
    return os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")
