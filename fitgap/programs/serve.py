"""Serve the best model over HTTP with MLflow's own server: `python -m fitgap.programs.serve [--port 5001]`."""

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

from fitgap import lifecycle
from fitgap.prediction.trained_models import TrainedModels
from fitgap.system.errors import UserError
from fitgap.tracking import models, store
from fitgap.tracking.addresses import tracking_uri

HOST = "127.0.0.1"
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}


def main(*arguments: str) -> None:
    """Find the best model in MLflow, the one that `make predict` asks, and become MLflow's server for it."""
    parser = argparse.ArgumentParser(prog="python -m fitgap.programs.serve", description="Serve the best model.")
    parser.add_argument("--port", type=int, default=5001, help="port on 127.0.0.1 (default: 5001)")
    port = parser.parse_args(arguments).port
    _check_port(port)
    result = TrainedModels(Path()).find()
    address = models.find_address(result)
    print(f"fitgap: {result.name} answers: the highest mean validation accuracy of all models; {address}")
    where = f"http://{HOST}:{port}/invocations"
    print(f"fitgap: it takes picture files in base64 (docs/use.md) on {where}; Ctrl-C stops it", flush=True)
    _become_server(address, port)


def _check_port(port: int) -> None:
    """Raise a UserError if a server could not listen on a port."""
    try:
        socket.create_server((HOST, port)).close()
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        why = os.strerror(number).lower() if number else "should be 1 to 65535"
        raise UserError(f"port {port}: {why}; name another: make serve PORT=5002") from None


def _become_server(address: str, port: int) -> None:
    """Replace this process by MLflow's server, so that a signal to this process stops the server."""
    programs = Path(sys.executable).parent  # MLflow starts uvicorn by its name
    try:
        subprocess.run([programs / "uvicorn", "--version"], capture_output=True, check=False)
    except OSError:  # its first line names the Python of the former folder
        raise UserError(f"{programs}: moved since the installation; remove .venv and run `make install`") from None
    store.set_variables()
    variables = {"MLFLOW_TRACKING_URI": tracking_uri(), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    server = ["-m", "mlflow", "models", "serve", "--model-uri", address, "--env-manager", "local"]
    command = [sys.executable, *server, "--host", HOST, "--port", str(port)]
    os.execve(sys.executable, command, {**QUIET, **os.environ, **variables})


if __name__ == "__main__":
    lifecycle.run(main)
