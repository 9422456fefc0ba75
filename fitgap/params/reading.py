"""Reading params.yaml with DVC's own reader, and one clear line for every mistake in it."""

import difflib
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import ConstructorError, DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from fitgap.params.schema import Params
from fitgap.params.variants import Variant
from fitgap.system.errors import UserError

_DEEPEST, _MOST = 50, 100_000  # levels, values; aliases can make more of a short text than can be compared or shown
_MOST_BITS = 14_000  # of an integer; Python shows none of more than 4,300 digits
# What ruamel.yaml lets pass when a value is not what its tag or its look says, such as 2024-13-45.
_INVALID = (ValueError, LookupError, TypeError, ArithmeticError, AssertionError)


class _Constructor(SafeConstructor):
    """ruamel.yaml's safe constructor: the same values, but every refusal says where."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except _INVALID:
            kind = str(node.tag).rpartition(":")[2]
            raise ConstructorError(problem=f"not a valid {kind}", problem_mark=node.start_mark) from None

    def check_mapping_key(self, node: Any, key_node: Any, mapping: Any, key: Any, value: Any) -> bool:
        if key in mapping:  # ruamel.yaml's own message shows both values, however large
            raise DuplicateKeyError(problem=f"duplicate key {_shown(key)}", problem_mark=key_node.start_mark)
        return True


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and check params.yaml as a whole.

    Raises
    ------
    UserError
        One line: the file, the key, what was given, what is allowed.
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
    reader = YAML(typ="safe")
    reader.Constructor = _Constructor
    try:
        value = reader.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(
            f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}" if mark else error
        ) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (YAMLError, *_INVALID) as error:
        raise ValueError(f"not valid: {error}") from None
    _check_bounds(value)
    return value


def _check_bounds(tree: Any) -> None:
    """Refuse keys that are no text, and values that Python could not compare or show; a cycle has no end."""
    todo: list[tuple[tuple[str | int, ...], Any]] = [((), tree)]
    for _ in range(_MOST):
        if not todo:
            return
        path, value = todo.pop()
        if len(path) > _DEEPEST:
            raise ValueError(f"{path[0]}: nested too deeply")
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise ValueError(f"{dotted(path)}: an integer of thousands of digits")
        todo += [((*path, key), inner) for key, inner in _entries(path, value)]
    raise ValueError(f"more than {_MOST} values; do aliases (*name) repeat what holds aliases?")


def _entries(path: tuple[str | int, ...], value: Any) -> Iterable[tuple[str | int, Any]]:
    if not isinstance(value, dict):
        return enumerate(value) if isinstance(value, list | tuple | set) else ()
    for key in value:
        if not isinstance(key, str):
            raise ValueError(f"{dotted(path)}: key {_shown(key)} is not text: quote it".removeprefix(": "))
    return value.items()


def dotted(parts: Iterable[str | int]) -> str:
    """Join a key's parts; one that would not show as it is (empty, blank at an end, a line break) is quoted."""
    plain = (str(part) for part in parts)
    return ".".join(part if part.strip() == part != "" and part.isprintable() else repr(part) for part in plain)


def validate(tree: dict[str, Any], path: Path | str) -> Params:
    """Check sections as a whole; `path` is the file that a mistake is said to stand in."""
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {describe_error(error)}") from None


def describe_error(error: ValidationError) -> str:
    """Return pydantic's findings in one line: the first in full, how many more there are."""
    problems = error.errors(include_url=False)
    line = _describe_one(problems[0])
    return line if len(problems) == 1 else f"{line} (and {len(problems) - 1} more after this one)"


def _describe_one(problem: dict[str, Any]) -> str:
    location, message = problem["loc"], problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return _unknown_key(location)
    of_name = location[-1:] == ("[key]",)  # pydantic's mark; an unknown key may be called that too
    key = dotted(location[:-1] if of_name else location)
    if problem["type"] == "missing":
        return f"{key}: missing; the file that ships with the project shows its default"
    if not key:  # a check across sections names its keys itself
        return message
    if of_name:
        allowed = "letters, digits, '_' and '-', at most 63, beginning with a letter or digit"
        return f"{key}: cannot be the name of a folder; allowed: {allowed}"
    return f"{key}: {_shown(problem['input'])}: {message[0].lower()}{message[1:]}"


def _unknown_key(location: tuple[str, ...]) -> str:
    *parents, key = location
    section: type[BaseModel] = Variant if parents[:1] == ["variants"] else Params
    for part in parents if section is Params else []:
        section = section.model_fields[part].annotation
    allowed = list(section.model_fields)
    near = difflib.get_close_matches(key, allowed, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{dotted(location)}: unknown key{hint} allowed here: {', '.join(allowed)}"


def _shown(value: Any) -> str:
    short = reprlib.Repr()  # aliases in YAML nest values deeper, and multiply them further, than repr() can bear
    short.maxlevel, short.maxstring, short.maxlong, short.maxother = 3, 60, 60, 60
    try:
        text = short.repr(value)
    except ValueError:  # Python turns no integer of more than 4,300 digits into text
        text = "an integer of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}..."
