"""From a Spec to a Plan: each tensor of the file, with its distribution's numbers and its bytes."""
