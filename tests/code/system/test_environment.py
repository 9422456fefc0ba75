"""Variables that a shell has for other programs do not reach fitgap's."""

import os
import shutil
import subprocess
import sys

import pytest
from odd_variables import ODD

from fitgap.system.environment import DROPPED, MEANT, without_strays


def test_strays_are_dropped_and_what_is_meant_stays():
    assert not set(without_strays(ODD)) & {name for name in ODD if name.startswith(DROPPED)} - MEANT
    others = ("PATH", "CUDA_VISIBLE_DEVICES", "MLFLOW_TRACKING_URI", "DVC_ROOT", "TF_VAR_region")
    kept = dict.fromkeys([*MEANT, *others], "x")
    assert without_strays(kept) == kept


@pytest.mark.parametrize("package", ["stages", "fitgap/programs"])
def test_program_starts_again_without_them_and_with_its_arguments(package, tmp_path, repository):
    """NumPy reads OPENBLAS_CORETYPE on import: the process has to begin anew."""
    (tmp_path / "begun").mkdir()
    shutil.copy(repository / package / "__init__.py", tmp_path / "begun")
    (tmp_path / "begun/show.py").write_text("import os, sys; print(sorted(os.environ), sys.argv[1:])")
    environment = {**os.environ, **ODD, "PYTHONPATH": str(repository), "KERAS_HOME": "/mine"}
    command = [sys.executable, "-m", "begun.show", "a b"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    names, _, given = ended.stdout.partition("] ")
    assert given == "['a b']\n" and "'KERAS_HOME'" in names and "'OPENBLAS_CORETYPE'" not in names
    assert "'KERAS_BACKEND'" not in names and "'PYTHONOPTIMIZE'" not in names
    assert (
        "import_was_harmless"
        in subprocess.run(
            [sys.executable, "-c", "import begun; print('import_was_harmless')"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
