from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from math_verify import verify

from prefix_rft.grading.probe import plainly_differ
from prefix_rft.grading.verify import _read

atoms = st.sampled_from(["x", "y", "2", "3", r"\pi", "0.5", r"\frac{1}{3}"])
formulas = st.recursive(
    atoms,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", r"\cdot "]), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})")
        | inner.map(lambda part: rf"\sqrt{{{part}}}")
    ),
    max_leaves=4,
)


@settings(max_examples=40, deadline=None)
@given(formulas, formulas)
def test_what_differs_at_a_point_is_unequal_to_math_verify(one: str, other: str) -> None:
    golds, answers = _read(one, unit_allowed=False), _read(other, unit_allowed=False)
    if plainly_differ(golds, answers):
        assert not verify(golds, answers, timeout_seconds=None)


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("x+1", "x+2", True),
        ("x+1", "1+x", False),
        (r"\sqrt{8}", r"2\sqrt{2}", False),
        (r"\frac{1}{3}", "0.333333", False),
        ("5", r"x^2", True),
        ("x", "y", False),
        ("x=1", "x=2", False),
        ("(1,2)", "(1,3)", False),
        (r"\frac{1}{2}\%", "0.5", False),
        (r"\frac{1}{0}", "5", False),
    ],
)
def test_only_plain_differences_are_told(one: str, other: str, differ: bool) -> None:
    assert plainly_differ(_read(one, unit_allowed=False), _read(other, unit_allowed=False)) == differ
