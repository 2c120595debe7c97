"""The spec language: YAML or a mapping → Spec → Parameters."""
