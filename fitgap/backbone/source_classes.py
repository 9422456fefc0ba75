"""Which classes of the source count as which of the target: data/source_classes.yaml, yours to edit.

Without an entry, a target class is known to the source where it has a class of the same name.
"""

from pathlib import Path

import yaml

from fitgap.errors import UserError
from fitgap.strict_yaml import StrictLoader

Mapping = dict[str, list[str]]


def read(path: Path) -> Mapping:
    """Read the file: target class -> ids, ranges of ids (`n02085620..n02113978`) or names of source classes."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader) or {}  # a SafeLoader
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds {type(tree).__name__}, not 'target class: [source classes]'")
    for target, sources in tree.items():
        if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
            raise UserError(f"{path}: {target}: {sources!r}: should be a list of ids or names; [] if there is none")
    return tree


def target_of(names: list[str], ids: list[str], targets: list[str], mapping: Mapping) -> list[str]:
    """Give each source class the name of the target class that it counts as, or else its own.

    Parameters
    ----------
    names, ids : of the source's classes; ids may be empty
    targets : names of the target's classes
    mapping : as `read` gives it; entries for classes that the target does not have are passed over

    Raises
    ------
    UserError
        If a source class counts as two of the target's.
    """
    found: dict[int, str] = {names.index(target): target for target in targets if target in names}
    for target in targets:
        for index in _matching(mapping.get(target, []), names, ids):
            if found.setdefault(index, target) != target:
                raise UserError(
                    f"data/source_classes.yaml: {names[index]!r} counts as {found[index]!r} and as {target!r}; "
                    "take it out of one of them"
                )
    return [found.get(index, name) for index, name in enumerate(names)]


def _matching(entries: list[str], names: list[str], ids: list[str]) -> list[int]:
    """Give the positions of the source classes that any entry names."""
    labels = list(zip(names, ids or names, strict=True))
    return [i for i, (name, own) in enumerate(labels) if any(_names(entry, name, own) for entry in entries)]


def _names(entry: str, name: str, own: str) -> bool:
    first, dots, last = entry.partition("..")
    return first <= own <= last if dots else entry in (name, own)
