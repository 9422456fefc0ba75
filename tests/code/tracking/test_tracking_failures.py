"""Test failing stores: one line of warning, bounded time, and no result lost."""

import os
import socket
import time

import pytest
import tracking_samples as samples

from fitgap.tracking import failures, runs, store
from fitgap.tracking.client import Waiting


@pytest.fixture
def repository(tmp_path, monkeypatch):
    return samples.repository(tmp_path / "repository", monkeypatch)


def test_a_failing_server_costs_less_than_half_a_minute():
    patience = {name.removeprefix("MLFLOW_HTTP_"): value for name, value in store.REQUEST_LIMITS.items()}
    tries = 1 + int(patience["REQUEST_MAX_RETRIES"])
    pauses = float(patience["REQUEST_BACKOFF_FACTOR"]) + float(patience["REQUEST_BACKOFF_JITTER"])
    assert store.SERVER_TIMEOUT + tries * int(patience["REQUEST_TIMEOUT"]) + pauses <= 30
    assert patience["RESPECT_RETRY_AFTER_HEADER"] == "false"


def test_patience_is_for_the_store_alone_and_the_users_own_counts(repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "9")
    with store.open_store():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == store.REQUEST_LIMITS["MLFLOW_HTTP_REQUEST_TIMEOUT"]
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "9"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_a_store_that_crawls_is_given_up(repository, monkeypatch, capsys):
    monkeypatch.setattr(store, "SQLITE_TIMEOUT", -1)
    assert runs.log_result(samples.single()) is None
    assert "too slowly" in capsys.readouterr().err


@pytest.fixture
def silent_server():
    """Yield the port of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_server_that_hangs_costs_one_line(repository, silent_server, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ada:s3cret@127.0.0.1:{silent_server}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert runs.log_result(samples.model()) is None
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "results are safe" in told and "make sync" in told
    assert f"***@127.0.0.1:{silent_server}" in told and "s3cret" not in told


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql+pymysql"])
def test_a_server_that_is_away_costs_one_line_for_all_results(repository, scheme, monkeypatch, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}://ada:s3cret@127.0.0.1:{port}/db")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert runs.log_results([samples.single(), samples.model()]) == {}
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "2 of 2 MLflow runs neither found nor written" in told and "s3cret" not in told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:s3cret@host:5000/api", "http://***@host:5000/api"),
        ("at http://ada:s3@cret@host, and https://b:s3cret@host2", "at http://***@host, and https://***@host2"),
        ("postgresql://host/db?user=ada&password=s3cret&x=1", "postgresql://host/db?user=ada&password=***&x=1"),
        ("https://host/?access_token=s3cret", "https://host/?access_token=***"),
        ("http://host/mail@example.org", "http://host/mail@example.org"),
    ],
)
def test_no_password_is_shown(text, shown):
    assert failures.redacted(text) == shown


def test_only_slow_answers_count_as_waiting():
    waiting = Waiting(limit=0.2)
    for _ in range(100):
        with waiting.count():
            pass
    assert waiting.waited == 0
    with waiting.count(quick=0.1):
        time.sleep(0.4)
    assert waiting.left == 0
    with pytest.raises(TimeoutError, match="too slowly"), waiting.count():
        pytest.fail("no further call is made")


def test_a_process_waits_for_one_server_once(repository, monkeypatch):
    monkeypatch.setattr(store, "_waiting", {})
    monkeypatch.setenv(store.TIMEOUT_VARIABLE, "40")
    first = store.waiting_for("http://127.0.0.1:1")
    assert first is store.waiting_for("http://127.0.0.1:1") and first.limit == 40
    assert store.waiting_for("http://127.0.0.1:2") is not first
    assert store.waiting_for("sqlite:////a") is not store.waiting_for("sqlite:////a")


def test_a_timeout_that_is_no_number_is_told_in_one_line(repository, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv(store.TIMEOUT_VARIABLE, "long")
    assert runs.log_results([samples.single()]) == {}
    assert "FITGAP_TRACKING_TIMEOUT: 'long': write a number of seconds" in capsys.readouterr().err
