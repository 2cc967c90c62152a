"""Which texts are the same problem."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.benchmarks import Problem
from eval.benchmarks.digests import Entry, content_digest, entry, normalised_answer, text_digest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(text=TEXT, blank=st.sampled_from([" ", "\n", "\t", "\u00a0", "\r\n", "   "]))
def test_formatting_alone_is_no_difference(text: str, blank: str) -> None:
    spaced = blank + blank.join(text.split()) + blank
    assert text_digest(spaced) == text_digest(text)
    for form in ("NFC", "NFD"):
        assert text_digest(unicodedata.normalize(form, text)) == text_digest(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "ab"),
        ("$2^3$", "$2^{3}$"),
        ("Find x", "find x"),
        ("x = 1.", "x = 1"),
        ("\\frac12", "\\dfrac12"),
    ],
)
def test_anything_else_is(one: str, other: str) -> None:
    assert text_digest(one) != text_digest(other)


@pytest.mark.parametrize(
    ("answer", "kind", "counted"),
    [
        ("142.0", "integer", "142"),
        ("142", "integer", "142"),
        ("14.20", "integer", "14.20"),
        ("-3.", "integer", "-3"),
        ("033", "integer", "33"),
        ("000", "integer", "0"),
        ("three", "integer", "three"),
        ("033", "expression", "033"),
        ("142.0", "number", "142.0"),
        (" \\frac{1}{2}\n", "expression", "\\frac{1}{2}"),
    ],
)
def test_whole_numbers_lose_their_decimals(answer: str, kind: str, counted: str) -> None:
    assert normalised_answer(answer, kind) == counted  # type: ignore[arg-type]


def test_the_whole_is_name_text_and_answer_in_any_order() -> None:
    entries = [entry(Problem(str(index), f"p{index}", "1"), "integer") for index in range(3)]
    digest = content_digest(entries)
    assert digest == content_digest(reversed(entries))
    assert digest != content_digest(entries[:2])
    first = entries[0]
    for change in (
        Entry("9", first.problem, first.answer),
        Entry(first.id, "0", first.answer),
        Entry(first.id, first.problem, "0"),
    ):
        assert digest != content_digest([change, *entries[1:]])
