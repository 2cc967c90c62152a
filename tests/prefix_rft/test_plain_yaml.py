"""Settings as YAML, read and written part by part: the same values and texts as in one piece."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft import plain_yaml

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
settings = st.dictionaries(
    st.from_regex(r"[a-z_]{1,6}", fullmatch=True) | st.text(), values, min_size=1, max_size=5
)


@given(settings)
def test_what_is_written_is_read_again(mapping: dict[str, Any]) -> None:
    assert plain_yaml.load(plain_yaml.dump(mapping)) == mapping


plain = st.dictionaries(
    st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
    st.integers()
    | st.booleans()
    | st.lists(st.floats(allow_nan=False))
    | st.text("ab1 /._:#-{}'", max_size=150),
    min_size=1,
)


@given(plain)
def test_the_text_is_that_of_the_whole(mapping: dict[str, Any]) -> None:
    assert plain_yaml.dump(mapping) == yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a: &x 1\nb: *x\n",
        "a: 'x\nb: y'\n",
        "a: |\n  x: 1\nb: 2\n",
        "a: 1\n- b\n",
        "---\na: 1\n",
        "a: 1\n...\nb: 2\n",
        "a: 1\n---\nb: 2\n",
        "%YAML 1.1\n---\na: 1\n",
        "a: [1,\n2]\nb: 3\n",
        "a: {x: 1,\ny: 2}\n",
        "a: 1\n<<: {b: 2}\n",
        "# first\na: 1\n# second\nb: 2\n",
        "a:\n- 1\nb:\n",
        "a: 1\rb: 2\n",
        "",
    ],
)
def test_parts_say_what_the_whole_says(text: str) -> None:
    def said(load: Any) -> Any:
        try:
            return load(text)
        except ValueError as error:
            return str(error)

    assert said(plain_yaml.load) == said(plain_yaml._whole)


def test_a_part_that_was_read_before_is_not_read_again() -> None:
    plain_yaml._kept.cache_clear()
    for seed in range(5):
        plain_yaml.load(f"model:\n  kind: tiny\nseed: {seed}\n")
    assert plain_yaml._kept.cache_info().misses == 1 + 5


def test_what_is_read_can_be_changed_without_changing_what_is_read_next() -> None:
    plain_yaml.load("a: {b: [1]}\n")["a"]["b"].append(2)
    assert plain_yaml.load("a: {b: [1]}\n") == {"a": {"b": [1]}}


def test_bytes_that_are_no_text_are_written_too() -> None:
    assert plain_yaml.dump({"store": "/\udcff"}) == 'store: "/\\uDCFF"\n'


@pytest.mark.parametrize(
    ("text", "values"),
    [("c: 4\na: 1\n<<: {c: 3}\n", {"c": 4, "a": 1}), ("a: 1\n<<: {b: 2}\nb: 3\n", {"a": 1, "b": 3})],
)
def test_a_merge_gives_way_to_what_is_said_outright(text: str, values: dict[str, int]) -> None:
    assert plain_yaml.load(text) == values


def test_an_anchor_that_is_set_twice_is_refused_across_entries_too() -> None:
    with pytest.raises(ValueError, match="anchor"):
        plain_yaml.load("a: &x 1\nb: &x 2\n")
