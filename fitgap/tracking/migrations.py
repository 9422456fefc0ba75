"""Let MLflow open its database where the name of a folder above MLflow's own files holds a percent sign."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def allow_percent_sign() -> Iterator[None]:
    """Inside this context, Alembic accepts % in the path of MLflow's migrations, such as `100% done/.venv/...`.

    Every opening of a database reads these migrations. Alembic takes %x for a reference to another option, unless it
    is doubled; MLflow 3.17 doubles it in the database's address only (mlflow.store.db.utils._get_alembic_config).
    """
    from alembic.config import Config

    original = Config.set_main_option

    def set_main_option(self: Config, name: str, value: str) -> None:
        is_raw = name == "script_location" and "%" in value.replace("%%", "")
        original(self, name, value.replace("%", "%%") if is_raw else value)

    Config.set_main_option = set_main_option
    try:
        yield
    finally:
        Config.set_main_option = original
