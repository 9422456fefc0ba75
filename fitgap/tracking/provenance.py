"""From which code, in which DVC experiment and by whom a run was written, as MLflow tags."""

import getpass
import os
import subprocess


def tags(stage: str) -> dict[str, str]:
    """Give the tags that are the same for all runs of one stage; those that cannot be known are left out.

    `git_dirty` tells whether a file under version control differs from the revision; `dvc.lock` does not
    count, because DVC itself writes it after every stage.
    """
    return {
        "mlflow.source.name": f"stages/{stage}.py",
        "mlflow.source.type": "LOCAL",
        **_user(),
        **_revision(),
        **_experiment(),
    }


def _user() -> dict[str, str]:
    try:
        return {"mlflow.user": os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()}
    except (KeyError, OSError):  # a container may run as a user without a name
        return {}


def _experiment() -> dict[str, str]:
    name = os.environ.get("DVC_EXP_NAME")
    return {"dvc_experiment": name} if name else {}


def _revision() -> dict[str, str]:
    # No optional locks: DVC may be using Git's index at the same time.
    command = ["git", "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    command += ["--", ".", ":(exclude,top)dvc.lock"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):  # no Git, or no repository: a mere folder runs as well
        return {}
    lines = answer.stdout.splitlines()
    dirty = {"git_dirty": str(any(not line.startswith("#") for line in lines)).lower()}
    heads = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if not heads or heads[0] == "(initial)":
        return dirty
    return {"git_revision": heads[0], "mlflow.source.git.commit": heads[0], **dirty}
