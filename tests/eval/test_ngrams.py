"""Shared runs of words: hand-made cases, and the search against a slow one that tries everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.ngrams import Index, Match, words

LETTERS = st.lists(st.sampled_from("abc"), max_size=14)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Find $x^2$, where", ["find", "x", "2", "where"]),
        ("\\frac{1}{2}a_{10}", ["frac", "1", "2", "a", "10"]),
        ("F\u00edn\nof THE  stra\u00dfe", ["f\u00edn", "of", "the", "strasse"]),
        ("Fi\u0301n", ["f\u00edn"]),
        ("  $ + - $ ", []),
    ],
)
def test_words_are_letters_and_digits(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_the_longest_run_and_what_is_covered() -> None:
    index = Index(["a b c d e f g h".split()], 3)
    (match,) = index.search("x b c d e y f g h a".split())
    assert match == Match(text=0, longest=4, start=1, covered=7)
    assert list(index.search("a b x c d x e f".split())) == []


def test_a_short_text_is_found_only_as_a_whole() -> None:
    index = Index([["compute", "two"], ["a", "b", "c", "d"], []], 4)
    assert list(index.search(["compute", "three"])) == []
    assert list(index.search("now compute two".split())) == [Match(0, longest=2, start=1, covered=2)]
    assert list(index.search("a b c".split())) == []
    assert list(index.search([])) == []


def test_a_run_of_the_text_that_repeats_is_one_run() -> None:
    (match,) = Index([list("aaaaa")], 2).search(list("aaa"))
    assert (match.longest, match.covered) == (3, 5)


@given(indexed=st.lists(LETTERS, max_size=4), text=LETTERS, n=st.integers(1, 5))
def test_the_search_finds_what_trying_everything_finds(
    indexed: list[list[str]], text: list[str], n: int
) -> None:
    found = {match.text: match for match in Index(indexed, n).search(text)}
    for place, other in enumerate(indexed):
        longest, covered = slow(other, text, min(n, len(other)))
        assert (place in found) == (longest > 0)
        if longest:
            match = found[place]
            assert (match.longest, match.covered) == (longest, covered)
            run = text[match.start : match.start + longest]
            assert any(other[at : at + longest] == run for at in range(len(other)))


def slow(other: list[str], text: list[str], n: int) -> tuple[int, int]:
    """Longest shared run of at least n words, and words of `other` in any such run; 0, 0 where there is none."""
    if n == 0:
        return 0, 0
    shared = {tuple(text[a:b]) for a in range(len(text)) for b in range(a + n, len(text) + 1)}
    covered: set[int] = set()
    longest = 0
    for a in range(len(other)):
        for b in range(a + n, len(other) + 1):
            if tuple(other[a:b]) in shared:
                longest = max(longest, b - a)
                covered.update(range(a, b))
    return longest, len(covered)


def test_a_run_has_a_word() -> None:
    with pytest.raises(ValueError, match="at least one word, not 0"):
        Index([["a"]], 0)
