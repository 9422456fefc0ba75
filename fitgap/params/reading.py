"""Reading params.yaml with DVC's own reader, and one clear line for every mistake in it."""

import difflib
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from fitgap.params.schema import Params
from fitgap.params.variants import Variant
from fitgap.system.errors import UserError


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and check params.yaml as a whole.

    Raises a UserError of one line: the file, the key, what was given, what is allowed.
    """
    return validate(read_tree(Path(path)), path)


def read_tree(path: Path) -> dict[str, Any]:
    """Read a file of sections, unchecked; raise a UserError where it is no such file."""
    try:
        tree = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the repository's top folder") from None
    except OSError as error:
        raise UserError(f"{path}: not readable: {error.strerror}; it must be a text file that you may read") from None
    except ValueError as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds {type(tree).__name__}, not the sections {', '.join(Params.model_fields)}")
    return tree


def parse(text: str) -> Any:
    """Read YAML to the values that DVC sees (dvc.utils.serialize); raise ValueError with what is wrong."""
    try:
        return YAML(typ="safe").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{place}{error.problem}") from None
    except (YAMLError, RecursionError) as error:
        raise ValueError(f"not valid: {error}") from None


def validate(tree: dict[str, Any], path: Path | str) -> Params:
    """Check sections as a whole; `path` is the file that a mistake is said to stand in."""
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        more = f" (and {len(others)} more after this one)" if others else ""
        raise UserError(f"{path}: {_describe(first)}{more}") from None


def _describe(problem: dict[str, Any]) -> str:
    location, message = problem["loc"], problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return _unknown_key(location)
    of_name = location[-1:] == ("[key]",)  # pydantic's mark
    key = _dotted(location[:-1] if of_name else location)
    if problem["type"] == "missing":
        return f"{key}: missing; the file that ships with the project shows its default"
    if not key:  # a check across sections names its keys itself
        return message
    if of_name:
        allowed = "letters, digits, '_' and '-', at most 63, beginning with a letter or digit"
        return f"{key}: cannot be the name of a folder; allowed: {allowed}"
    return f"{key}: {reprlib.repr(problem['input'])}: {message[0].lower()}{message[1:]}"


def _unknown_key(location: tuple[str, ...]) -> str:
    *parents, key = location
    section: type[BaseModel] = Variant if parents[:1] == ["variants"] else Params
    for part in parents if section is Params else []:
        section = section.model_fields[part].annotation
    allowed = list(section.model_fields)
    near = difflib.get_close_matches(key, allowed, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{_dotted(location)}: unknown key{hint} allowed here: {', '.join(allowed)}"


def _dotted(parts: Iterable[str | int]) -> str:
    return " ".join(".".join(map(str, parts)).split())  # a key may hold line breaks
