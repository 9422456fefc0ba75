"""dvc.yaml names all code that can change a byte of what a stage leaves, and no room is entered from below."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

# The hull: code that stages use without its being able to change what they leave.
HULL = (
    "fitgap/__init__.py",
    "fitgap/lifecycle.py",
    "fitgap/cluster/",
    "fitgap/pipeline/",
    "fitgap/prediction/",
    "fitgap/system/",
    "fitgap/tracking/",
)
# They train nothing: of remedies they know the keys in params.yaml, through the schema, and no more.
WITHOUT_REMEDIES = ("prepare", "backbone", "features", "probe")
STAGES = sorted(path.stem for path in (Path(__file__).parents[2] / "stages").glob("[!_]*.py"))


def imported(file: Path) -> set[str]:
    """Names of modules, and of what might be modules, that a file imports anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def files(repository: Path, module: str) -> list[Path]:
    path = repository / module.replace(".", "/")
    return [found for found in (path.with_suffix(".py"), path / "__init__.py") if found.exists()]


def used(repository: Path, file: Path, seen: set[Path]) -> set[Path]:
    """Follow imports from a file, through all that can change what is left."""
    for module in imported(file):
        for found in files(repository, module) if module.split(".")[0] == "fitgap" else []:
            if found not in seen and not str(found.relative_to(repository)).startswith(HULL):
                seen.add(found)
                used(repository, found, seen)
    return seen


@pytest.fixture(scope="module")
def pipeline(repository) -> dict:
    return yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]


def test_stages_are_modules(pipeline):
    assert sorted(pipeline) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_stage_names_the_code_that_it_uses(repository, pipeline, stage):
    body = pipeline[stage].get("do", pipeline[stage])
    code = [dep for dep in body["deps"] if dep.startswith(("fitgap", "stages"))]
    assert f"stages/{stage}.py" in code
    closure = {str(path.relative_to(repository)) for path in used(repository, repository / f"stages/{stage}.py", set())}
    if stage in WITHOUT_REMEDIES:
        closure = {file for file in closure if not file.startswith("fitgap/remedies/")}
    missing = {file for file in closure if not any(file == dep or file.startswith(f"{dep}/") for dep in code)}
    assert missing == set()
    idle = {dep for dep in code if not any(file == dep or file.startswith(f"{dep}/") for file in closure)}
    assert idle == {f"stages/{stage}.py"}
    assert [dep for dep in code if not (repository / dep).exists()] == []


def test_the_library_does_not_know_the_stages(repository):
    for file in (repository / "fitgap").rglob("*.py"):
        assert not [module for module in imported(file) if module.split(".")[0] == "stages"], file


@pytest.mark.parametrize("stage", ["prepare", "choice", "report"])
def test_stage_that_needs_no_tensorflow_does_not_import_it(repository, stage):
    """Its import takes four seconds. What is imported inside functions is not run at start."""
    code = f"import sys, stages.{stage}; sys.exit('tensorflow' in sys.modules or 'mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


def test_dvc_lock_holds_the_stages_of_the_pipeline_and_no_others(repository):
    with Repo(str(repository)) as opened:
        stages = {stage.addressing for stage in opened.index.stages}
    assert set(yaml.safe_load((repository / "dvc.lock").read_text())["stages"]) == stages
