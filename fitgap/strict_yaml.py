"""A safe YAML reader that sees what DVC's sees, and refuses what either would lose or change silently."""

import re
from collections.abc import Iterable

import yaml

# PyYAML follows YAML 1.1, where 1e-4 (no dot) is a string. DVC reads YAML 1.2, where it is a number.
# Both must see the same value in params.yaml. Pattern: YAML 1.2.2, section 10.2.2 (core schema).
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
# What YAML 1.1 and 1.2 still read as different values: octal or decimal, minutes or text, a switch or a word.
_AMBIGUOUS = re.compile(
    r"^([-+]?0[0-9_]+|0o[0-7]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[-+]?\.[0-9]+[eE][-+]?[0-9]+"
    r"|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)$"
)
_AMBIGUOUS_TAG = "!ambiguous"
_STANDARD = "tag:yaml.org,2002:"
_PLAINLY = "write true or false, a number without leading zeros, a text in quotes"
_DEEPEST = 50  # levels; PyYAML descends by recursion, and Python's own limit would end it in a traceback


def dotted(parts: Iterable[str | int]) -> str:
    """Join a key's parts; one that would not show as it is (empty, blank at an end, a line break) is quoted."""
    plain = (str(part) for part in parts)
    return ".".join(part if part.strip() == part != "" and part.isprintable() else repr(part) for part in plain)


class StrictLoader(yaml.SafeLoader):
    """PyYAML's SafeLoader with YAML 1.2 floats; an error where readers differ or PyYAML would break down."""

    def __init__(self, stream):
        super().__init__(stream)
        self._inside: list[str | None] = []  # the keys above the node being composed; None: an item or a key itself
        self._keys: dict[yaml.Node, str] = {}

    def compose_node(self, parent: yaml.Node | None, index: yaml.Node | int | None) -> yaml.Node:
        """Compose a node and note the key it stands at, for errors to name."""
        self._inside.append(index.value if isinstance(index, yaml.ScalarNode) else None)
        key = dotted(part for part in self._inside if part is not None)
        if len(self._inside) > _DEEPEST:
            raise _error(key, "nested too deeply", self.peek_event())
        node = super().compose_node(parent, index)
        self._inside.pop()
        self._keys.setdefault(node, key)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False):
        """Build a value; PyYAML's constructors raise anything on what only looks like a date or a number."""
        if node.tag == _AMBIGUOUS_TAG:
            problem = f"{node.value} means one thing to YAML 1.1 and another to 1.2; {_PLAINLY}"
            raise _error(self._keys[node], problem, node)
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str | int):
                str(value).encode()  # refuses what could not be shown: over 4,300 digits, half a surrogate pair
        except (ValueError, LookupError, AttributeError, ArithmeticError, yaml.constructor.ConstructorError):
            raise _error(self._keys[node], f"not a valid {node.tag.removeprefix(_STANDARD)}", node) from None
        return value

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        """Build a mapping; the last of two equal keys must not win silently."""
        if not isinstance(node, yaml.MappingNode):  # `!!map 7`
            raise _error(self._keys[node], f"not a mapping, but a {node.id}", node)
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag != f"{_STANDARD}str":
                written = key_node.value if isinstance(key_node, yaml.ScalarNode) else f"(a {key_node.id})"
                raise _error(self._keys[node], f"key {written} is not text: quote it", key_node)
            key = self.construct_object(key_node)
            if key in seen:
                raise _error(self._keys[node], f"key {key!r} stands twice", key_node)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _error(key: str, problem: str, at: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=f"{key}: {problem}" if key else problem, problem_mark=at.start_mark)


StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
for _first in "-+.0123456789yYnNoO":  # before the others, whose first match would win
    StrictLoader.yaml_implicit_resolvers[_first].insert(0, (_AMBIGUOUS_TAG, _AMBIGUOUS))
