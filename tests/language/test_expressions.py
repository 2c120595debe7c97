"""Expressions: values, limits, and refusal of everything else."""

import math
from typing import Any

import pytest
from golden import Golden
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from paramgen.catalog.entries import is_variable
from paramgen.cli.commands import app
from paramgen.language.evaluation import parse_value
from paramgen.language.expressions import TemplateString, UndefinedError, names_in
from paramgen.language.values import ExpressionError
from paramgen.limits import MAX_EXPRESSION_DEPTH as MAX_DEPTH
from paramgen.limits import MAX_EXPRESSION_LENGTH as MAX_LENGTH

VARIABLES = {
    "hidden": 100,
    "layers": 3,
    "rate": 0.5,
    "λ": 2,
    "_x1": 7,
    "depths": (3, 4, 23, 3),
    "empty": (),
    "names": ("q", "k"),
    "ones": (1,),
    "trues": (True,),
    "floats": (1.0,),
    "tie": True,
    "act": "gelu",
}


def value(text: str) -> Any:
    return TemplateString(text).value(VARIABLES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("2 * 3 % 4", 2),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("7 / 2", 3.5),
        ("6 / 2", 3.0),
        ("-2 ** 2", -4),
        ("2 ** -1", 0.5),
        ("2 ** 3 ** 2", 512),
        ("(-2) ** 3", -8),
        ("+-+5", -5),
        ("- -5", 5),
        ("2**64", 2**64),
        ("10**38", 10**38),
        ("1.5 ** 3", 3.375),
        ("hidden // layers", 33),
        ("hidden*rate", 50.0),
        ("λ + _x1", 9),
        ("min(3, 1, 2)", 1),
        ("max(hidden, 7)", 100),
        ("min(4)", 4),
        ("sqrt(2)", math.sqrt(2)),
        ("sqrt(1329227995784916168051712239633186817)", 1152921504606847232.0),
        ("sqrt(2**64 * 2**56 + 1)", 2.0**60),
        ("(1e200)**-2", 0.0),
        ("2.0**-3", 0.125),
        ("depths == depths", True),
        ("ones == trues", False),
        ("ones != trues", True),
        ("ones == floats", True),
        ("0.02 / sqrt(2 * layers)", 0.02 / math.sqrt(6)),
        ("int(7.9)", 7),
        ("int(-7.9)", -7),
        ("round(2.5)", 2),
        ("round(3.5)", 4),
        ("round(-0.4)", 0),
        ("010", 10),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("5.5e-1", 0.55),
        ("  \t 1\n", 1),
        ("depths[0]", 3),
        ("depths[-1] + depths[1 + 1]", 26),
        ("names[1]", "k"),
        ("len(depths)", 4),
        ("len(empty)", 0),
        ("sum(depths)", 33),
        ("sum(empty)", 0),
        ("min(depths)", 3),
        ("max(depths)", 23),
        ("abs(-3)", 3),
        ("abs(-0.5)", 0.5),
        ("log(1)", 0.0),
        ("log(1 / 0.07)", 2.659260036932778),
        ("exp(0)", 1.0),
        ("exp(1)", math.e),
        ("exp(-1000)", 0.0),
        ("exp(-745.2)", 0.0),
        ("exp(-745.1)", 5e-324),
        ("log(2 ** 64)", 44.3614195558365),
        ("1 < 2", True),
        ("2 <= 1", False),
        ("2 > 1.5", True),
        ("1 >= 1.0", True),
        ("1 == 1.0", True),
        ("1 != 2", True),
        ("true == 1", False),
        ("act == 'gelu'", True),
        ("act != 'relu'", True),
        ("'a' == 1", False),
        ("tie and layers > 2", True),
        ("not tie or layers == 3", True),
        ("not not tie", True),
        ("false and 1 / 0 > 1", False),
        ("true or 1 / 0 > 1", True),
        ("1 if tie else 1 / 0", 1),
        ("1 / 0 if not tie else 2", 2),
        ("1 if false else 2 if false else 3", 3),
        ("(depths if tie else empty)[2]", 23),
        ("'it is'", "it is"),
        ("-depths[0] ** 2", -9),
        ("2 if layers > 2 and layers < 4 else 0", 2),
    ],
)
def test_expressions_evaluate_to(text: str, expected: float) -> None:
    found = value(f"${{{text}}}")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "1 +",
        "1 2",
        "2 layers",
        "(1",
        "1)",
        "* 2",
        "hiden",
        "q",
        "1 / 0",
        "1 // (layers - 3)",
        "5 % 0",
        "0 ** -1",
        "0.0 ** -1",
        "2 ** 0.5",
        "2 ** 65",
        "2 ** -65",
        "10 ** 39",
        "9 ** 64 ** 64",
        "340282366920938463463374607431768211456",
        "1e308 * 10",
        "1e400",
        "1e308 + 1e308 - 1e308",
        "sqrt(-1)",
        "(1e-300)**-2",
        "0.0**-2",
        "len",
        "sqrt()",
        "sqrt(1, 2)",
        "min",
        "ln(1)",
        "sqr(1)",
        "min(1",
        "1..2",
        "1_000",
        "0x10",
        *"²①½Ⅷ٣१",
        *(f"2{digit} + 1" for digit in "²①½Ⅷ٣१"),
        *(f"hidden{digit}" for digit in "²①½Ⅷ"),
        "hidden\u0301",
        "a.b",
        "hidden if layers else 1",
        "1 if tie",
        "hidden = 1",
        "1 < 2 < 3",
        "depths[4]",
        "depths[-5]",
        "depths[0.5]",
        "depths[true]",
        "depths[",
        "hidden[0]",
        "depths + 1",
        "tie + 1",
        "-act",
        "+act",
        "--true",
        "act < 'b'",
        "not layers",
        "tie and layers",
        "layers or tie",
        "len(3)",
        "sum(3)",
        "max(empty)",
        "max(names)",
        "abs(tie)",
        "log(0)",
        "log(-1)",
        "exp(1000)",
        "'open",
        "true(1)",
        "if",
        "not",
        "__import__('os')",
        "[1][0]",
        "hidden.__class__",
        "lambda: 1",
        "hidden := 1",
        "1 if 2",
        "~1",
        "1 << 100",
        pytest.param("(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1), id="33 brackets"),
        pytest.param("**".join("1" * 40), id="40 powers"),
        pytest.param("max(" * 40 + "1" + ")" * 40, id="40 functions"),
        pytest.param("+".join("1" * (MAX_LENGTH // 2 + 1)), id="1,001 characters"),
    ],
)
def test_invalid_expressions_are_refused(text: str, golden: Golden) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(f"${{{text}}}")
    golden(caught.value)


def test_long_chains_are_evaluated() -> None:
    assert value("${" + "+".join("1" * 500) + "}") == 500
    assert value("${" + "-" * 999 + "1}") == -1
    assert value("${" + "*".join(["1"] * 500) + "}") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("block_${layers}", "block_3"),
        ("${layers}${layers}", "33"),
        ("${rate}", 0.5),
        (" ${layers} ", " 3 "),
        ("a${1 + 1}b${2 * 2}c", "a2b4c"),
        ("$layers", "$layers"),
        ("{layers}", "{layers}"),
        ("$${layers}", "$3"),
        ("${act}_${tie}", "gelu_true"),
    ],
)
def test_expressions_within_strings(text: str, expected: object) -> None:
    assert value(text) == expected
    assert TemplateString(text).render(VARIABLES) == str(expected)


def test_a_list_within_a_string_is_refused(golden: Golden) -> None:
    with pytest.raises(ExpressionError) as caught:
        value("a${depths}")
    golden(caught.value)


@pytest.mark.parametrize("name", ["if", "else", "and", "or", "not", "true", "false", "min", "len", "exp"])
def test_a_declared_variable_wins_over_a_keyword(name: str) -> None:
    template = TemplateString(f"${{{name} + max(1, {name})}}", frozenset({name}))
    assert template.value({name: 4}) == 8


@pytest.mark.parametrize("text", ["${", "a${1", "${1${2}}", "${a{b}}", "${1}${"])
def test_unclosed_expressions_are_refused(text: str, golden: Golden) -> None:
    with pytest.raises(ExpressionError) as caught:
        TemplateString(text)
    golden(caught.value)


def test_the_names_in_expressions_are_known_without_values() -> None:
    assert TemplateString("${a + b * min(c, 1)}x${d}").names == {"a", "b", "c", "d"}
    assert names_in({"x": ["${a}", {"y": "b${c}"}], "z": 3, "w": "plain"}) == {"a", "c"}
    assert names_in("${1 +}") == frozenset()
    with pytest.raises(UndefinedError) as caught:
        value("${nothing}")
    assert caught.value.name == "nothing"


def test_names_of_variables() -> None:
    assert all(map(is_variable, ["a", "A_1", "_", "λ", "größe", "if", "lambda", "a१", "層"]))
    assert not any(
        map(
            is_variable,
            ["", "1a", "a-b", "a.b", "a b", "²", "a²", "①a", "१a", "aⅧ", "½", "a\u0301"],
        )
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3),
        ("2 * 3", 6),
        ("1e-3", 0.001),
        ("true", True),
        ("gelu", "gelu"),
        ("'3'", "3"),
        ("[2, 2]", (2, 2)),
        ("[a, true, 1.5]", ("a", True, 1.5)),
        ("²", "²"),
        ("٣", "٣"),
        ("1 < 2", True),
        ("a-b/c", "a-b/c"),
        ("gelu(tanh)", "gelu(tanh)"),
        ("v1.2.3", "v1.2.3"),
        ("1.2.3", "1.2.3"),
        ("1:30", "1:30"),
        ("64gb", "64gb"),
        ("--", "--"),
        ("'1/0'", "1/0"),
    ],
)
def test_values_of_set(text: str, expected: object) -> None:
    found = parse_value(text)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "text", ["{a: 1}", "[[1]]", "null", "[1", "1e400", "", "2**70", "1/0", "exp(1000)", "sqrt(-1)", "1+", "(2 * 3"]
)
def test_set_refuses_invalid_values(text: str, golden: Golden) -> None:
    done = CliRunner().invoke(app, ["plan", "model.yaml", "--set", f"hidden={text}"])
    assert done.exit_code == 2
    golden(done.output.splitlines()[-1])


trees = st.recursive(
    st.integers(0, 9).map(str) | st.sampled_from(["1.5", "layers", "rate"]),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
            lambda parts: "({} {} {})".format(*parts)
        )
        | inner.map(lambda text: f"-{text}")
        | st.tuples(inner, inner).map(lambda parts: "max({}, {})".format(*parts))
    ),
    max_leaves=8,
)


@given(trees)
@settings(max_examples=300, deadline=None)
def test_arithmetic_equals_pythons(text: str) -> None:
    try:
        expected = eval(text, {"max": max}, VARIABLES)
    except ZeroDivisionError:
        with pytest.raises(ExpressionError) as caught:
            value(f"${{{text}}}")
        assert type(caught.value) is ExpressionError
    else:
        found = value(f"${{{text}}}")
        assert (found, type(found)) == (expected, type(expected))


@given(st.text(alphabet="0123456789.eE+-*/%(), abminsqrtλ_{}$\n\"'[]:=<>!&|^~@", max_size=60))
@settings(max_examples=1000, deadline=None)
def test_any_text_gives_a_value_or_an_error(text: str) -> None:
    try:
        found = TemplateString(f"${{{text}}}").value({"a": 1, "b": 2.5})
    except ExpressionError as error:
        assert str(error)
    else:
        assert isinstance(found, int | float | str | bool)
