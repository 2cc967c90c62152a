"""Text of any origin on a page."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.page.text import cut, script_json, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb", "a\nb"),
        ("\x00\x1b[31m", "[U+0000][U+001B][31m"),
        ("1\u202e23", "1[U+202E]23"),
        ("\ud800", "[U+D800]"),
        ("zero\u200bwidth", "zero[U+200B]width"),
        ("naïve 中文 🙂 ±", "naïve 中文 🙂 ±"),
    ],
)
def test_what_does_not_show_itself_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_says_the_same_and_has_no_markup(value: object) -> None:
    written = script_json({"value": value})
    assert not set(written) & set("<>&\u2028\u2029")
    assert written.isascii()
    assert json.loads(written)["value"] == _visible(value)


def _visible(value: object) -> object:
    if isinstance(value, dict):
        return {visible(key): _visible(nested) for key, nested in value.items()}
    return [_visible(nested) for nested in value] if isinstance(value, list) else visible(str(value))


def test_a_number_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        script_json([math.nan])


def test_a_long_text_says_what_is_left_out() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 4) == "abcd [and 3 characters more]"
