"""Read runs as a table of text: of an MLflow experiment, of `dvc exp show --csv`, or of a CSV or Parquet file.

The columns of MLflow's runs are called as in its filters: metrics.val_accuracy, params.model, tags.seed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fitgap.system.errors import UserError
from fitgap.tracking.addresses import redacted, sqlite_file
from fitgap.tracking.store import StoreError, set_variables

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILES = (".csv", ".tsv", ".parquet")
ALLOWED = "allowed: mlflow.db, sqlite:///FILE, http://SERVER, a .csv or .parquet file"
RUN, PARENT, STATUS = "run", "parent", "status"  # columns of MLflow's runs, beside their name and what was logged
JUDGED, VERDICT = "fitgap.judged", "fitgap.verdict."  # tags that `--log` writes: of its run, of contestants
PAGE = 1000  # runs that a server is asked for at once


@dataclass(frozen=True)
class Runs:
    """Finished runs."""

    table: pd.DataFrame  # a row per run, the oldest first; text, missing cells are NA
    origin: str  # where they are from, in words
    left_out: tuple[str, ...] = ()  # what was left out, and why
    client: "MlflowClient | None" = None  # of the store that they are from, with the experiment's id
    experiment_id: str = ""


def read_runs(source: str, experiment: str | None = None) -> Runs:
    """Read the finished runs of a source.

    Parameters
    ----------
    source : address of an MLflow store (http://..., sqlite:///...), its database, or a .csv, .tsv or .parquet file
    experiment : name or id of an MLflow experiment; None: the only one with runs

    Raises a UserError if the source cannot be read, or holds no runs.
    """
    if "://" not in source and not Path(source).exists():
        raise UserError(f"{source}: not found; {ALLOWED}")
    runs = _read_file(Path(source)) if source.lower().endswith(FILES) else _read_store(source, experiment)
    if runs.table.empty:
        raise UserError("; ".join([f"{runs.origin}: no finished runs", *runs.left_out]))
    return runs


def _read_file(path: Path) -> Runs:
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    except ImportError:
        raise UserError(f"{path}: Parquet needs pyarrow; `pip install pyarrow`, or write a .csv file") from None
    except (ValueError, OSError) as error:  # UnicodeDecodeError and those of pandas and pyarrow among them
        raise UserError(f"{path}: not a readable table: {' '.join(str(error).split())[:200]}") from None
    table = table.astype("string").replace({"": pd.NA, "-": pd.NA, "!": pd.NA}).dropna(axis="columns", how="all")
    if not {"rev", "typ"} <= {*table}:
        return Runs(table, str(path))
    rows = table[table["typ"] != "baseline"].sort_values("Created", kind="stable")  # DVC's experiments alone
    state = rows["State"] if "State" in rows else pd.Series(pd.NA, rows.index)
    rows, left_out = _finished(rows, state, state.isna() | state.eq("Success"))
    bookkeeping = ["rev", "typ", "parent", "State", "Executor", "Created"]
    return Runs(rows.drop(columns=bookkeeping, errors="ignore"), f"experiments of DVC in {path}", left_out)


def _read_text(path: Path) -> pd.DataFrame:
    """Read text with a header; commas, semicolons or tabs separate the columns."""
    with path.open(encoding="utf-8-sig") as lines:
        header = lines.readline()
    separator = max(",;\t", key=header.count)
    options = {"dtype": str, "keep_default_na": False, "skipinitialspace": True}
    table = pd.read_csv(path, sep=separator, encoding="utf-8-sig", **options)
    # Spreadsheets separate by semicolons where the decimal point is a comma.
    return table.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True) if separator == ";" else table


def _finished(rows: pd.DataFrame, state: pd.Series, is_finished: pd.Series) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the finished runs, and a text on the others."""
    counts = state[~is_finished].value_counts()
    text = f"{counts.sum()} runs that did not finish ({', '.join(f'{n} {name}' for name, n in counts.items())})"
    return rows[is_finished], (text,) if len(counts) else ()


def _read_store(source: str, experiment: str | None) -> Runs:
    address = source if "://" in source else f"sqlite:///{Path(source).resolve()}"
    file = sqlite_file(address)
    if file and not (file.is_file() and file.stat().st_size):  # MLflow would create it
        way = "; `mlflow migrate-filestore` makes one of a folder of runs" if file.is_dir() else ""
        raise UserError(f"{source}: no database of MLflow{way}; {ALLOWED}")
    set_variables()
    from mlflow import MlflowClient

    try:
        client = MlflowClient(tracking_uri=address)
        name, experiment_id = _find_experiment(client, experiment)
        rows = _search(client, experiment_id)
    except UserError:
        raise
    except Exception as cause:  # of MLflow, SQLAlchemy and the network
        raise UserError(f"{redacted(source)}: the store does not answer: {StoreError(cause)}") from None
    columns = dict.fromkeys([STATUS, *(column for row in rows for column in row)])
    table = pd.DataFrame(rows, columns=list(columns)).astype("string")
    table, left_out = _finished(table, table[STATUS], table[STATUS] == "FINISHED")
    return Runs(table, f"{redacted(source)}, experiment {name!r}", left_out, client, experiment_id)


def _find_experiment(client: "MlflowClient", wanted: str | None) -> tuple[str, str]:
    """Return name and id of the experiment that is wanted, or of the only one with runs."""
    there = client.search_experiments(view_type=3)  # deleted ones too
    active = [own for own in there if own.lifecycle_stage == "active"]
    if wanted is None:
        fitting = [own for own in active if client.search_runs([own.experiment_id], max_results=1)]
    else:
        fitting = [own for own in there if wanted in (own.name, own.experiment_id)]
    if len(fitting) != 1:
        names = ", ".join(sorted(own.name for own in (active if wanted else fitting))) or "none with runs"
        why = f"{wanted}: there is none" if wanted else "NAME: name one"
        raise UserError(f"--experiment {why}; there are: {names}")
    if fitting[0] not in active:
        again = f"mlflow experiments restore --experiment-id {fitting[0].experiment_id}"
        raise UserError(f"--experiment {wanted}: it is deleted; `{again}` brings it back")
    return fitting[0].name, fitting[0].experiment_id


def _search(client: "MlflowClient", experiment_id: str) -> list[dict[str, Any]]:
    """Return a row for each run, but those that `--log` has written."""
    rows, token = [], None
    while token != "":
        page = client.search_runs([experiment_id], max_results=PAGE, order_by=["start_time ASC"], page_token=token)
        rows, token = [*rows, *(_row(run) for run in page if JUDGED not in run.data.tags)], page.token or ""
    return rows


def _row(run) -> dict[str, Any]:
    data, parent = run.data, run.data.tags.get("mlflow.parentRunId")
    tags = {f"tags.{name}": value for name, value in data.tags.items() if not name.startswith(("mlflow.", VERDICT))}
    logged = {f"params.{name}": value for name, value in data.params.items()} | tags
    logged |= {f"metrics.{name}": repr(value) for name, value in data.metrics.items()}
    return {RUN: run.info.run_id, "name": run.info.run_name, STATUS: run.info.status, PARENT: parent, **logged}
