"""Files, headers, configurations and modules → the spec that a person would have written."""
