"""From text to a Spec: YAML, expressions, groups, and every mistake with its place."""
