"""A safe YAML reader that agrees with DVC's on numbers and refuses what it would lose silently."""

import re

import yaml

# PyYAML follows YAML 1.1, where 1e-4 (no dot) is a string. DVC reads YAML 1.2, where it is a number.
# Both must see the same value in params.yaml. Pattern: YAML 1.2.2, section 10.2.2 (core schema).
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")


class StrictLoader(yaml.SafeLoader):
    """PyYAML's SafeLoader with YAML 1.2 floats, and an error where a key stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping; the last of two equal keys must not win silently."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} is not text: quote it", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
