"""Repetitions, local variables, conditions and names: the operations that a spec's entries expand to."""

import json
from typing import Any

import pytest
from golden import Golden
from helpers import expect_spec_error, plan_text

import paramgen

P = "type: prelu"


def names(text: str, **replaced: Any) -> list[str]:
    """Return the names of a spec's tensors, without the last part."""
    plan = plan_text(text, **replaced)
    return [tensor.name.removesuffix(".alpha") for tensor in plan.tensors]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (f"{{name: a, {P}, repeat: 2}}", ["a.0", "a.1"]),
        (f"{{name: a, {P}, repeat: 1}}", ["a.0"]),
        (f"{{name: a, {P}, repeat: {{from: 3, to: 5}}}}", ["a.3", "a.4"]),
        (f"{{name: a, {P}, repeat: {{from: 1, to: 6, step: 2}}}}", ["a.1", "a.3", "a.5"]),
        (f"{{name: a, {P}, repeat: {{from: 3, to: 3}}}}", []),
        (f"{{name: a, {P}, repeat: [0, 2]}}", ["a.0", "a.2"]),
        (f"{{name: a, {P}, repeat: [query, key]}}", ["a.query", "a.key"]),
        (f"{{name: '${{n}}_proj', {P}, repeat: [query, key], as: n}}", ["query_proj", "key_proj"]),
        (f"{{name: 'block_${{i}}_img', repeat: 2, as: i, operations: [{{name: p, {P}}}]}}", ["block_0_img.p", "block_1_img.p"]),
        (f"{{name: 'b${{j}}', repeat: 2, as: i, with: {{j: '${{i}}'}}, {P}}}", ["b0.0", "b1.1"]),
        (f"{{name: a.b.c, {P}}}", ["a.b.c"]),
        (f"{{name: a.b, repeat: 2, operations: [{{name: c.d, {P}}}]}}", ["a.b.0.c.d", "a.b.1.c.d"]),
        (f"{{name: a, repeat: 3, as: i, when: '${{i != 1}}', {P}}}", ["a.0", "a.2"]),
        (f"{{name: a, when: false, nonsense: '${{1 / 0}}', {P}}}", []),
        (f"{{name: g, repeat: 2, as: i, operations: [{{name: p, when: '${{i > 0}}', {P}}}]}}", ["g.1.p"]),
        (f"{{name: g, repeat: 3, as: i, operations: [{{name: p, repeat: '${{i}}', {P}}}]}}", ["g.1.p.0", "g.2.p.0", "g.2.p.1"]),
        (
            f"{{name: g, repeat: '${{len(depths)}}', as: s, with: {{n: '${{depths[s]}}'}}, "
            f"operations: [{{name: p, repeat: '${{n}}', {P}}}]}}",
            ["g.0.p.0", "g.0.p.1", "g.1.p.0"],
        ),
        (f"{{name: a, {P}, repeat: '${{names}}'}}", ["a.x", "a.y"]),
        ("{name: g, parameters: {s: {shape: [], initializer: ones}}}", ["g.s"]),
        (
            f"{{name: g, repeat: 2, operations: [{{name: p, {P}}}], parameters: {{s.t: {{shape: [], initializer: ones}}}}}}",
            ["g.0.s.t", "g.0.p", "g.1.s.t", "g.1.p"],
        ),
        (
            "{name: g, repeat: 2, as: i, parameters: {s: {shape: [], initializer: ones, when: '${i == 1}'}}}",
            ["g.1.s"],
        ),
    ],
)  # fmt: skip
def test_items_expand_to_these_names(entry: str, expected: list[str]) -> None:
    text = f"variables: {{depths: [2, 1], names: [x, y]}}\noperations: [{{name: z, {P}}}, {entry}]\n"
    assert names(text) == ["z", *expected]


def test_parameters_of_the_model_come_first() -> None:
    text = f"operations: [{{name: z, {P}}}]\nparameters: {{logit_scale: {{shape: [], initializer: ones}}}}\n"
    assert names(text) == ["logit_scale", "z"]
    assert names("parameters: {a: {shape: [2], initializer: ones}}") == ["a"]


def test_local_variables_see_those_around_them_and_not_each_other() -> None:
    text = (
        "variables: {a: 1, b: 10}\n"
        "operations: [{name: g, with: {a: '${a + 1}', b: '${a + 2}'}, operations: ["
        "{name: c, with: {a: '${a * 100}'}, type: batchnorm, num_channels: '${a + b}'}]}]\n"
    )
    plan = plan_text(text)
    assert plan.tensors[0].shape == (203, 1)


def test_a_local_variable_that_hides_another_does_not_add_up_over_repetitions() -> None:
    text = (
        "variables: {n: 1}\n"
        "operations: [{name: g, repeat: 21, with: {n: '${2 * n}'}, operations: ["
        "{name: c, repeat: '${n}', type: prelu, num_channels: 1}]}]\n"
    )
    assert len(plan_text(text).tensors) == 42


def test_two_towers_from_one_block() -> None:
    text = (
        "operations:\n"
        "- name: text\n"
        "  with: {width: 2}\n"
        "  operations: &tower\n"
        "  - {name: norm, type: layer_norm, num_channels: '${width}'}\n"
        "- {name: vision, with: {width: 3}, operations: *tower}\n"
    )
    plan = plan_text(text)
    assert [tensor.shape for tensor in plan.tensors] == [(2, 1), (2, 1), (3, 1), (3, 1)]


def test_variables_of_all_kinds_can_be_replaced() -> None:
    text = f"variables: {{tie: true, d: [1], act: a}}\noperations: [{{name: '${{act}}', when: '${{not tie}}', repeat: '${{d[0]}}', {P}}}]"
    assert names(text, variables={"tie": False, "d": [2], "act": "b"}) == ["b.0", "b.1"]


def test_the_stored_spec_plans_the_same_file() -> None:
    text = (
        "variables: {tie: false, depths: [2, 1]}\n"
        "parameters: {s: {shape: ['${depths[0]}'], initializer: ones}}\n"
        f"operations: [{{name: a, when: '${{tie}}', {P}}}, {{name: b, with: {{n: '${{depths[0]}}'}}, "
        "type: batchnorm, num_channels: '${n}'}, {name: c, repeat: '${depths}', type: prelu}]\n"
    )
    plan = plan_text(text)
    stored = json.loads(plan.files[0].header[8:])["__metadata__"]["paramgen_spec"]
    assert plan_text(stored).files[0].header == plan.files[0].header


MISTAKES = {
    "a condition that is a number": (f"{{name: a, when: 1, {P}}}", ["operations[1].when"]),
    "a condition that is a text": (f"{{name: a, when: '${{names[0]}}', {P}}}", ["operations[1].when"]),
    "an index past a list": (
        "{name: g, repeat: 3, as: i, operations: [{name: c, type: batchnorm, num_channels: '${sizes[i]}'}]}",
        ["operations[1].operations[0].num_channels"],
    ),
    "a text for a number": ("{name: a, type: batchnorm, num_channels: '${names[0]}'}", ["operations[1].num_channels"]),
    "a list that repeats a name": (f"{{name: a, {P}, repeat: [q, k, q]}}", ["operations[1].repeat[2]"]),
    "a range without an end": (f"{{name: a, {P}, repeat: {{from: 1}}}}", ["operations[1].repeat.to"]),
    "a step of zero": (f"{{name: a, {P}, repeat: {{from: 1, to: 2, step: 0}}}}", ["operations[1].repeat.step"]),
    "a negative step": (f"{{name: a, {P}, repeat: {{from: 7, to: 0, step: -3}}}}", ["operations[1].repeat.step"]),
    "a range from a negative number": (f"{{name: a, {P}, repeat: {{from: -2, to: 2}}}}", ["operations[1].repeat.from"]),
    "a range with a misspelt field": (
        f"{{name: a, {P}, repeat: {{from: 0, to: 2, stop: 1}}}}", ["operations[1].repeat.stop"]
    ),
    "a range to an expression": (
        f"{{name: a, {P}, repeat: {{from: 0, to: '${{0.5 * 4}}'}}}}", ["operations[1].repeat.to"]
    ),
    "a list within a list of indices": (f"{{name: a, {P}, repeat: [[1]]}}", ["operations[1].repeat[0]"]),
    "a name for an index that is none": (f"{{name: a, {P}, repeat: [a-, -b]}}", ["operations[1].repeat[1]"]),
    "local variables in a list": (f"{{name: a, {P}, with: [1]}}", ["operations[1].with"]),
    "a local variable with a bad name": (f"{{name: a, {P}, with: {{1a: 1}}}}", ["operations[1].with.1a"]),
    "a local variable that divides by zero": (f"{{name: a, {P}, with: {{b: '${{1 / 0}}'}}}}", ["operations[1].with.b"]),
    "a local variable that is a mapping": (f"{{name: a, {P}, with: {{b: {{c: 1}}}}}}", ["operations[1].with.b"]),
    "a variable of a sibling": (
        f"{{name: a, with: {{b: 1, c: '${{b}}'}}, {P}}}",
        ["operations[1].with.c"],
    ),
    "a parameter's condition that is a number": (
        "{name: a, type: custom, parameters: {p: {shape: [], initializer: ones, when: 1}}}",
        ["operations[1].parameters.p.when"],
    ),
    "a group's parameter without a shape": (
        "{name: g, parameters: {p: {initializer: ones}}}",
        ["operations[1].parameters.p.shape"],
    ),
    "two entries of one name": (f"{{name: 'b${{i // 2}}', repeat: 2, as: i, {P}}}", ["operations[1].name"]),
    "errors beside a wrong repetition": ("{name: -a, repeat: -1, type: batchnorm}", ["operations[1].num_channels", "operations[1].name"]),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_errors_in_items_have_their_paths(case: str, golden: Golden) -> None:
    entry, paths = MISTAKES[case]
    error = expect_spec_error(f"variables: {{names: [x, y], sizes: [1, 2]}}\noperations: [{{name: z, {P}}}, {entry}]\n")
    assert [problem.path for problem in error.diagnostics][: len(paths)] == paths
    golden(error)


def test_a_spec_whose_items_are_all_omitted_is_refused(golden: Golden) -> None:
    golden(expect_spec_error(f"operations: [{{name: z, when: false, {P}}}]\n"))


def test_an_override_that_may_match_omitted_operations_is_a_warning(golden: Golden) -> None:
    spec = {
        "operations": [{"name": "a", "type": "prelu"}, {"name": "b", "type": "prelu", "when": False}],
        "overrides": [{"match": "b.*", "dtype": "float16"}],
    }
    with pytest.warns(UserWarning, match="b") as caught:
        assert len(paramgen.plan(spec).tensors) == 1
    golden(*[str(warning.message) for warning in caught])


def test_an_omitted_override_is_not_evaluated() -> None:
    spec = {
        "operations": [{"name": "a", "type": "prelu"}],
        "overrides": [{"match": "a.*", "dtype": "${1 / 0}", "when": "${false}"}],
    }
    assert paramgen.plan(spec).tensors[0].dtype.name == "float32"


def test_a_name_may_begin_with_anothers_whole_name() -> None:
    parameters = {name: {"shape": [1], "initializer": "ones"} for name in ("weight", "weight.absmax")}
    spec = {"operations": [{"name": "x", "type": "custom", "parameters": parameters}]}
    assert list(paramgen.sample(spec, flat=True)) == ["x.weight", "x.weight.absmax"]
    with pytest.raises(paramgen.UsageError, match="flat=True"):
        paramgen.sample(spec)


def test_a_spec_whose_parameters_are_all_omitted_is_refused(golden: Golden) -> None:
    golden(expect_spec_error("parameters: {w: {shape: [1], initializer: ones, when: false}}\n"))


def test_errors_show_local_lists_as_lists(golden: Golden) -> None:
    operation = "{name: a, with: {v: [true, 0]}, type: batchnorm, num_channels: '${v[0]}'}"
    golden(expect_spec_error(f"operations: [{{name: g, operations: [{operation}]}}]\n"))
