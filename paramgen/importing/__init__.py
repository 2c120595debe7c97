"""What people have (files, headers, configurations, modules) → the spec that a person would have written."""
