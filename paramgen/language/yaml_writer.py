"""A spec's data as YAML that the reader of this package reads as the same data."""

from __future__ import annotations

import re
from typing import Any

import yaml

# What is certainly text. PyYAML speaks YAML 1.1, which takes 1e5 and -.5 for strings; the reader takes them for
# numbers.
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def to_yaml(data: Any) -> str:
    """Return data as YAML text, keys in their order, innermost lists and mappings on one line each."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _WORD.fullmatch(text) else '"')


def _represent_list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.SequenceNode:
    node = dumper.represent_list(data)
    node.flow_style = all(isinstance(entry, yaml.ScalarNode) for entry in node.value)
    return node


def _represent_mapping(dumper: yaml.SafeDumper, data: dict[str, Any]) -> yaml.MappingNode:
    node = dumper.represent_dict(data)
    node.flow_style = all(isinstance(value, yaml.ScalarNode) for _, value in node.value)
    return node


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(dict, _represent_mapping)
# The reader's own kinds of lists and mappings.
_Dumper.add_multi_representer(list, _represent_list)
_Dumper.add_multi_representer(dict, _represent_mapping)
