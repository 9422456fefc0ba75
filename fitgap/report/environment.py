"""What the report ran on: versions and machine, found without importing the heavy packages."""

import os
import platform
from importlib import metadata

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib", "mlflow", "dvc")


def environment() -> dict[str, str]:
    """Give names and versions: {"Python": "3.11.9", "tensorflow": "2.21.0", ..., "machine": "Linux ..."}."""
    versions = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions | {"machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"}
