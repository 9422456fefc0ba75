"""Test that what one clone pushed to a DVC remote, another pulls: it computes nothing, and gets every run in MLflow."""

import urllib.request

import pytest
import stores
from conftest import Clone

NO_PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "remote"), {}


@pytest.fixture
def s3():
    """The address of a remote on S3, moto's server in memory, and what every clone needs beside it."""
    for package in ("dvc_s3", "flask_cors"):
        pytest.importorskip(package, reason=f"{package} is not installed (`make cluster`)")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    direct.open(urllib.request.Request(f"{address}/fitgap", method="PUT"), timeout=60).close()
    yield "s3://fitgap/cache", {"endpointurl": address, "access_key_id": "test", "secret_access_key": "test"}
    server.stop()


def configure(clone: Clone, options: dict[str, str]) -> None:
    """Store options of the remote outside of Git, as its user would store credentials."""
    for name, value in options.items():
        clone.run("dvc", "remote", "modify", "--local", "shared", name, value)


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.slow)])
def test_what_one_clone_pushed_another_pulls_and_computes_nothing(kind, clone, tmp_path, request):
    address, options = request.getfixturevalue(kind)
    clone, other = Clone(clone.path, NO_PROXY), Clone(tmp_path / "other", NO_PROXY)
    clone.run("dvc", "remote", "add", "--force", "--default", "shared", address)
    clone.run("git", "add", "--all")
    clone.run("git", "commit", "--quiet", "-m", "results and their remote")
    configure(clone, options)
    clone.run("dvc", "push")

    clone.run("git", "clone", "--quiet", str(clone.path), str(other.path))
    configure(other, options)
    other.run("dvc", "pull")
    # `dvc pull` restores all but the verdicts, which are no file of DVC's cache; the stage logs the missing runs too.
    assert other.repro() == ["report"]
    assert other.repro() == []
    assert other.run("git", "status", "--porcelain").stdout == ""  # dvc.lock among others
    logged = [stores.contents(each.path / "mlflow.db") for each in (clone, other)]
    assert logged[1] and stores.differences(*logged) == []
