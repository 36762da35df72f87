"""Reading: YAML 1.2 and JSON to the same tree, a place for every value, and bounds on everything."""

import codecs
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror_realm.compiler.source import load
from mirror_realm.compiler.source_faults import MAX_BYTES, MAX_DEPTH


def tree(text: str | bytes, name: str = "w.yaml"):
    loaded = load(name, text=text)
    assert loaded.document is not None, loaded.diagnostics
    assert not loaded.diagnostics
    return loaded.document.tree


def fault(text: str | bytes, name: str = "w.yaml"):
    found = load(name, text=text).diagnostics
    assert len(found) == 1, found
    assert found[0].line is not None
    assert found[0].hint
    return found[0]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("010", 10),
        ("0o17", 15),
        ("0xFF", 255),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("-5", -5),
        ("+3", 3),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1.0.0", "1.0.0"),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ('"\\u7167"', "照"),
        ("!!str 12", "12"),
        ("=", "="),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written, value):
    found = tree(f"x: {written}\n")["x"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_always_text():
    assert tree("on: 1\n1: 2\ntrue: 3\nnull: 4\n") == {"on": 1, "1": 2, "true": 3, "null": 4}


def test_aliases_and_merge_keys():
    text = "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd:\n  <<: [*a, {z: 9}]\n"
    assert tree(text) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
        "d": {"x": 1, "y": 2, "z": 9},
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_a_mark_are_read(encoding):
    assert tree("名称: 照片\n".encode(encoding)) == {"名称": "照片"}
    assert tree('{"名称": "照片"}'.encode(encoding), "w.json") == {"名称": "照片"}


def test_text_that_is_not_utf8_is_refused_at_its_place():
    found = fault(b"name: x\ntitle: " + "照片".encode("gbk"))
    assert (found.code, found.line, found.column) == ("MR102", 2, 8)
    assert "GBK" in found.hint
    assert fault("name: x".encode("utf-16-le")).code == "MR102"
    assert fault(codecs.BOM_UTF16_LE + b"\x00\xd8").code == "MR102"


def test_windows_and_old_mac_line_ends():
    for ending in ("\r\n", "\r"):
        loaded = load("w.yaml", text=f"a: 1{ending}b:{ending}  - 照{ending}  - x{ending}")
        assert loaded.document.tree == {"a": 1, "b": ["照", "x"]}
        assert loaded.document.span(("b", 1)) == (4, 5, 4, 6)


# Places


def test_every_key_and_value_has_its_place():
    text = "名: 照片\nnodes:\n  - id: a\n    list: [1, 'two', {k: v}]\n"
    document = load("w.yaml", text=text).document
    assert document.span(("名",)) == (1, 4, 1, 6)
    assert document.key_span(("nodes",)) == (2, 1, 2, 6)
    assert document.span(("nodes", 0)) == (3, 5, 3, 10)
    assert document.span(("nodes", 0, "list", 1)) == (4, 15, 4, 20)
    assert document.span(("nodes", 0, "list", 2, "k")) == (4, 26, 4, 27)
    assert document.place(("nodes", 0)) == "w.yaml:3:5"


def test_a_path_that_is_not_there_gives_the_nearest_place():
    document = load("w.yaml", text="nodes:\n  - id: a\n").document
    assert document.span(("nodes", 0, "next", 3)) == document.span(("nodes", 0))


def test_a_place_within_a_string():
    text = 'a: "{{ input.x }}"\nb: "\\u007b{ input.y }}"\nc: >\n  one\n  {{ input.z }}\n'
    document = load("w.yaml", text=text).document
    at = document.report("MR301", "m", ("a",), within=(3, 10))
    assert (at.line, at.column, at.end_column) == (1, 8, 15)
    assert document.report("MR301", "m", ("b",), within=(3, 10)).line == 2
    value = document.value(("c",))
    at = document.report("MR301", "m", ("c",), within=(value.index("input"), value.index("input") + 7))
    assert (at.line, at.column) == (5, 6)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(blacklist_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text(st.characters(blacklist_categories=["Cs"])), inner, max_size=4)
        ),
        max_leaves=20,
    ),
    st.booleans(),
)
def test_json_is_read_as_json_reads_it(value, pretty):
    text = json.dumps(value, indent=2 if pretty else None)
    loaded = load("w.json", text=text)
    assert not loaded.diagnostics
    assert loaded.document.tree == value
    start = loaded.document.span(())
    assert (start.line, start.column) == (1, 1)


def test_yaml_reads_json_too():
    text = json.dumps({"a": [1, 2.5, None, True, "照片 😀\n"], "b": {"c": {}}}, indent=1)
    assert tree(text, "w.yaml") == tree(text, "w.json")


def test_the_text_decides_where_the_name_does_not():
    assert load(text='{"a": 1,\n "a": 2}').diagnostics[0].line == 2
    assert load(text="{a: 1}").document.tree == {"a": 1}


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('{"a": "\\ud800"}', "MR108", 1),
        ('{"a": 123456789012345678901234567890}', "MR108", 1),
        ('{"a":\n' + "9" * 10_000 + "}", "MR108", 2),
        ('{"a": 1e999}', "MR108", 1),
        ('{"a": NaN}', "MR101", 1),
        ('{"a": 01}', "MR101", 1),
        ('{"a": +1}', "MR101", 1),
        ('{"a": True}', "MR101", 1),
        ('{"a": "\t"}', "MR101", 1),
        ('{"a": "\\x41"}', "MR101", 1),
        ('{"a": [1, 2,]}', "MR101", 1),
        ('{"a": {,}}', "MR101", 1),
        ('{"a": 1} {"b": 2}', "MR101", 1),
        ("", "MR106", 1),
        (" \n\n ", "MR106", 1),
    ],
)
def test_json_that_is_none(text, code, line):
    found = fault(text, "w.json")
    assert (found.code, found.line) == (code, line)


def test_a_surrogate_pair_is_one_character():
    assert tree('{"a": "\\ud83d\\ude00"}', "w.json") == {"a": "😀"}


# Bounds


@pytest.mark.parametrize("name", ["w.yaml", "w.json"])
def test_nesting_is_bounded(name):
    assert tree("[" * MAX_DEPTH + "]" * MAX_DEPTH, name)
    assert fault("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), name).code == "MR103"
    assert fault("[" * 1_000_000, name).code == "MR103"
    assert fault('{"a":' * 100_000, name).code == "MR103"


def test_deep_indentation_is_bounded():
    text = "".join(f"{' ' * n}k:\n" for n in range(3000))
    assert fault(text).code == "MR103"


def test_an_anchor_bomb_is_refused_at_once():
    lines = ["a0: &a0 [" + ", ".join(["x"] * 10) + "]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    began = time.monotonic()
    found = fault("\n".join(lines))
    assert found.code == "MR103"
    assert time.monotonic() - began < 5  # a bound on hanging, not a measurement


def test_an_alias_within_what_it_names():
    assert "inside what it names" in fault("a: &a [*a]\n").message


def test_size_is_bounded():
    assert fault("x: " + "y" * MAX_BYTES).code == "MR103"
    assert fault(b"x: " + b"y" * MAX_BYTES).code == "MR103"


def test_a_very_long_string_is_only_a_string():
    text = "x" * 10_000_000
    assert tree(f"a: {text}\n") == {"a": text}
    assert tree(json.dumps({"a": text}), "w.json") == {"a": text}


def test_files_that_cannot_be_read(tmp_path):
    assert load(tmp_path / "absent.yaml").diagnostics[0].code == "MR100"
    assert load(tmp_path).diagnostics[0].code == "MR100"
    assert load("a\0b").diagnostics[0].code == "MR100"


def test_a_file_is_read_by_its_name(tmp_path):
    path = tmp_path / "照片 1.yaml"
    path.write_text("a: 1\n", encoding="utf-8")
    loaded = load(path)
    assert loaded.document.tree == {"a": 1}
    assert loaded.document.file == str(path)
