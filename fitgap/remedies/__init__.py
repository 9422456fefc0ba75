"""Remedies against overfitting: each module of this package is one, and is found by being here."""

import importlib
import pkgutil

from fitgap.remedies.remedy import Remedy


def find_remedies() -> tuple[type[Remedy], ...]:
    """Return the remedies of all modules in this package, by the modules' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    members = (member for module in modules for member in vars(module).values())
    return tuple(dict.fromkeys(m for m in members if isinstance(m, type) and issubclass(m, Remedy) and m is not Remedy))


REMEDIES = find_remedies()
