"""Turn a ParsedSpec into a Plan."""
