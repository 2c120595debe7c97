"""Reading YAML: the core schema of 1.2, lines and columns, limits, and errors."""

import json
import math
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from golden import Golden
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st

from paramgen import limits
from paramgen.errors import SpecError
from paramgen.language import yaml_reader
from paramgen.language.document import from_mapping
from paramgen.language.yaml_reader import from_yaml


def read(text: str | bytes) -> Any:
    return from_yaml(text if isinstance(text, bytes) else text.encode(), "s").data


def refusal(text: str | bytes) -> str:
    with pytest.raises(SpecError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-7", -7),
        ("+7", 7),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("-1.5E+2", -150.0),
        ("1e400", math.inf),
        ("-.inf", -math.inf),
        (".", "."),
        ("-", [None]),
        ("1.2.3", "1.2.3"),
        ("'4'", "4"),
        ('"true"', "true"),
        ('"\\x41"', "A"),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("[1, {a: b}, []]", [1, {"a": "b"}, []]),
    ],
)
def test_values_of_the_core_schema(text: str, value: object) -> None:
    data = read(f"x: {text}" if value != [None] else f"x:\n  {text}\n")["x"]
    assert data == value
    assert type(data) is type(value) or isinstance(data, (dict, list))


def test_nan_and_negative_zero() -> None:
    data = read("{a: .nan, b: -0.0}")
    assert math.isnan(data["a"])
    assert math.copysign(1, data["b"]) == -1


def test_anchors_aliases_and_merges() -> None:
    data = read(
        "base: &b {x: 1, y: 2}\nother: &o {y: 3, z: 4}\n"
        "one: {<<: *b, x: 9}\nmany: {y: 0, <<: [*o, *b]}\nsame: *b\nword: &w text\nagain: *w\n*w : key\n"
    )
    assert data["one"] == {"x": 9, "y": 2}
    assert data["many"] == {"y": 0, "z": 4, "x": 1}
    assert data["same"] == {"x": 1, "y": 2}
    assert (data["again"], data["text"]) == ("text", "key")
    assert read("{'<<': 1}") == {"<<": 1}


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a key twice": ("a: 1\na: 2\n", "2:1"),
    "a key twice in flow style": ("a: {b: 1, b: 2}", "1:11"),
    "two merges": ("<<: {a: 1}\n<<: {b: 1}\n", "2:1"),
    "an integer for a key": ("1: a", "1:1"),
    "a boolean for a key": ("true: a", "1:1"),
    "null for a key": ("null: a", "1:1"),
    "a list for a key": ("? [a]\n: b", "1:3"),
    "an integer with an anchor for a key": ("&x 1: 2\n", "1:1"),
    "a tag of YAML": ("a: !!str b", "1:4"),
    "a tag of its own": ("a: !x [b]", "1:4"),
    "an empty tag": ("a: ! b", "1:4"),
    "a second document": ("a: 1\n---\nb: 2\n", "2:1"),
    "an alias without an anchor": ("a: *b", "1:4"),
    "an alias within its anchor": ("a: &b [*b]", "1:8"),
    "a merge of a number": ("<<: 3", "1:5"),
    "a merge of an empty list": ("<<: []", "1:5"),
    "a merge of a mapping and a number": ("<<: [{a: 1}, 2]", "1:5"),
    "a list that does not end": ("a: [1", "2:1"),
    "a mapping within a line": ("a: b: c", "1:5"),
    "a tab": ("a:\n\t- b", "2:1"),
    "a bell": ("a: \x07", "1:4"),
    "a bell after a carriage return": ("a: 1\rb: \x07", "2:4"),
    "a bell after a carriage return and a line feed": ("a: 1\r\nb: \x07", "2:4"),
    "a line separator": ("a: 1 # \u2028seed: 2", "1:8"),
    "a number of 200 digits": ("a: " + "9" * 200, "1:4"),
    "100 lists in flow style": ("a: " + "[" * 100, "1:35"),
    "70 lists in block style": ("- " * 70 + "a", "1:65"),
    "a byte that is not UTF-8": (b"a: \xff", "1:4"),
    "a safetensors file": (b"\x08\0\0\0\0\0\0\0{}      ", "1:1"),
    "bytes that are not UTF-8": (b"a: 1\nb: \xe5\x9c", "2:4"),
    "a version of YAML": ("%YAML 3.0\n--- a", "1:1"),
    "an end after other characters": ("é: [\nü", "3:1"),
}


@pytest.mark.parametrize(("text", "place"), REFUSED.values(), ids=list(REFUSED))
def test_errors_have_lines_and_columns(text: str | bytes, place: str, golden: Golden) -> None:
    line = refusal(text)
    assert line.startswith(f"s:{place}: ")
    golden(line)


def test_empty_documents_are_null() -> None:
    assert from_yaml(b"", "s").data is None
    assert from_yaml(b"# nothing\n", "s").data is None
    assert from_yaml(b"---\n...\n", "s").data is None


def test_a_byte_order_mark_is_skipped() -> None:
    parsed = from_yaml("\ufeffa: 1".encode(), "s")
    assert parsed.data == {"a": 1}
    assert parsed.locate(("a",)) == (1, 4)


def test_lines_and_columns_of_values_and_keys() -> None:
    text = "a: 1\nb:\n  - x\n  - {層: [2,  3]}\nc: &m {k: v}\nd:\n  <<: *m\n  l: 4\n"
    parsed = from_yaml(text.encode(), "s")
    assert parsed.locate(()) == (1, 1)
    assert parsed.locate(("a",)) == (1, 4)
    assert parsed.locate(("b",), of_key=True) == (2, 1)
    assert parsed.locate(("b", 1)) == (4, 5)
    assert parsed.locate(("b", 1, "層"), of_key=True) == (4, 6)
    assert parsed.locate(("b", 1, "層", 1)) == (4, 14)
    assert parsed.locate(("d", "k")) == (5, 11)
    assert parsed.locate(("d", "l")) == (8, 6)
    assert parsed.locate(("b", 1, "missing")) == (4, 5)
    assert parsed.locate(("d", "k", "deeper", 3)) == (5, 11)


def test_alias_bombs_are_counted_expanded(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(limits, "MAX_NODES", 1000)
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in ("ab", "bc", "cd")]
    nested = refusal("\n".join(lines))
    assert nested.startswith("s:3:")
    merges = "m: &m {" + ", ".join(f"k{i}: 1" for i in range(100)) + "}\n" + "x: {<<: [*m, *m, *m, *m, *m]}\n"
    merged = refusal(merges)
    assert merged.startswith("s:2:")
    assert read("a: &a [1]\nb: [*a, *a, *a]")["b"] == [[1], [1], [1]]
    golden(nested, merged)


@pytest.mark.parametrize("limit", ["MAX_NODES", "MAX_KEYS", "MAX_FILE_BYTES"])
def test_yaml_above_a_limit_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    text = "a: {" + ", ".join(f"k{i}: {i}" for i in range(50)) + "}"
    assert len(read(text)["a"]) == 50
    monkeypatch.setattr(limits, limit, 49)
    golden(refusal(text))


def test_the_python_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        with_c = from_yaml(path.read_bytes(), "s")
        monkeypatch.setattr(yaml_reader, "_Loader", yaml.SafeLoader)
        without = from_yaml(path.read_bytes(), "s")
        monkeypatch.undo()
        assert with_c.data == without.data
        assert with_c.data["operations"].positions == without.data["operations"].positions


def test_surrogates_of_the_python_parser_are_refused(monkeypatch: pytest.MonkeyPatch, golden: Golden) -> None:
    monkeypatch.setattr(yaml_reader, "_Loader", yaml.SafeLoader)
    golden(refusal('a: "\\ud800"'))


# Without the line separators that libyaml, which speaks YAML 1.1, folds.
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cn", "Cs", "Zl", "Zp"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_is_yaml(value: Any) -> None:
    data = read(json.dumps({"x": value}, ensure_ascii=False))["x"]
    assert data == value
    assert repr(data) == repr(value)


def test_mappings_are_read_unchanged() -> None:
    import numpy as np

    class Kind(StrEnum):
        X = "x"

    data = from_mapping({"a": (1, np.int64(2)), "b": np.float32(0.5), "c": {"d": [None, np.True_, Kind.X]}}).data
    assert data == {"a": [1, 2], "b": 0.5, "c": {"d": [None, True, "x"]}}
    assert [type(value) for value in (*data["a"], data["b"], *data["c"]["d"][1:])] == [int, int, float, bool, str]


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        pytest.param({1: 2}, "", id="an integer for a key"),
        pytest.param({"a": {"b": [1, {2}]}}, "a.b[1]", id="a set"),
        pytest.param({"a": b"x"}, "a", id="bytes"),
        pytest.param({"a": 1j}, "a", id="a complex number"),
        pytest.param({"a": Fraction(1, 2)}, "a", id="a fraction"),
        pytest.param({"a": "\ud800"}, "a", id="a surrogate"),
    ],
)
def test_mappings_with_other_types_are_refused(mapping: Any, path: str, golden: Golden) -> None:
    with pytest.raises(SpecError) as caught:
        from_mapping(mapping)
    assert [problem.path for problem in caught.value.diagnostics] == [path]
    golden(caught.value)


def test_recursive_mappings_are_refused(golden: Golden) -> None:
    loop: dict[str, Any] = {}
    loop["a"] = loop
    with pytest.raises(SpecError) as caught:
        from_mapping(loop)
    golden(caught.value)


def test_paths_that_are_not_files_are_refused(tmp_path: Path, golden: Golden) -> None:
    from paramgen.errors import FileError
    from paramgen.language.parsed_spec import read_document

    with pytest.raises(FileError) as missing:
        read_document(tmp_path / "none.yaml")
    with pytest.raises(FileError) as folder:
        read_document(tmp_path)
    golden(missing.value, folder.value)
