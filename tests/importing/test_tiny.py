"""Tiny variants of configurations: sizes that must fit each other stay so."""

from typing import Any

from paramgen.importing.tiny import Edits, edit, shrink


def shrink_fields(tree: dict[str, Any], is_valid: Any) -> dict[str, Any]:
    """Return a configuration after `shrink`; `is_valid` says if a model with these fields constructs."""

    def constructs(edits: Edits) -> bool:
        return bool(is_valid(edit(tree, edits)))

    return edit(tree, shrink(tree, constructs))


def test_heads_of_a_state_space_fill_the_expanded_width() -> None:
    tree = {"model_type": "x", "hidden_size": 4096, "expand": 2, "num_heads": 128, "head_dim": 64, "state_size": 128}
    found = shrink_fields(tree, lambda part: part["num_heads"] * part["head_dim"] == 2 * part["hidden_size"])
    assert found["hidden_size"] == 32 and found["num_heads"] == 2


def test_heads_have_a_width_of_their_own() -> None:
    tree = {"model_type": "x", "hidden_size": 4096, "mamba_d_ssm": 1024, "mamba_n_heads": 128, "mamba_d_head": 8}
    found = shrink_fields(tree, lambda part: part["mamba_n_heads"] * part["mamba_d_head"] == part["mamba_d_ssm"])
    assert found["mamba_d_ssm"] <= 128 and found["hidden_size"] <= 512


def test_widths_of_layers_are_those_of_the_layers_that_are_left() -> None:
    tree = {
        "model_type": "x",
        "num_hidden_layers": 8,
        "layer_types": ["a", "a", "a", "b"] * 2,
        "hidden_size": 1024,
        "intermediate_size": [4096] * 8,
    }
    lists = ("layer_types", "intermediate_size")
    found = shrink_fields(tree, lambda part: all(len(part[name]) == part["num_hidden_layers"] for name in lists))
    assert found["layer_types"] == ["a", "b"] and found["hidden_size"] < 64
    assert len(found["intermediate_size"]) == 2 and max(found["intermediate_size"]) < 512
