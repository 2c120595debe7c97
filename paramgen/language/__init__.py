"""From text to a ParsedSpec: YAML, expressions, groups, and errors with their places."""
