from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.grading.conclusion import conclusion, is_prose


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Some steps.\nThe final answer is $10,455$. I hope it is correct.", "10,455"),
        ("The answer is 34 because 2 + 32 = 34.", "34"),
        ("the answer is $x$ and $y$.", "x, y"),
        ("The answer is: \\text{even}.", "\\text{even}"),
        ("Answer: (-1,6)", "(-1,6)"),
        ("Answer: no", "no"),
        ("**Answer:** 12", "12"),
        ("Jan has 9.\nA: 9", "9"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("Final Answer: The volume of $ABCD$ is 120. I hope it is correct.", "120"),
        ("The answer is 3. No, wait.\nThe answer is 4.", "4"),
        ("Answer:\n\\[\n9\n\\]", "9"),
        ("The answer is\n\n$$\\frac{1}{2}$$", "\\frac{1}{2}"),
        ("Therefore $x \\geq 5$ is the solution.", "x \\geq 5"),
        ("We find $a = 1$, so it is $2$ or $3$.", "2, 3"),
        ("Thus there are 12 ways to do this. I hope it is correct. <|im_end|>", "12"),
        ("so it is about 1,000.99 m\u00b2", "1,000.99"),
        ("Hence the result\n\\[\nx = 3\n\\]", "x = 3"),
        ("The sum is $5.", "5"),
        ("I do not know what this is about.", None),
        ("x + y = 3", None),
        ("\\frac{1}{2}", None),
        ("$\\frac{1}{2}$", "\\frac{1}{2}"),
        ("Navin", None),
        ("", None),
        ("The answer is", None),
    ],
)
def test_the_answer_that_a_text_states(response: str, answer: str | None) -> None:
    assert conclusion(response) == answer


@given(value=st.integers(-(10**9), 10**9), before=st.sampled_from(["", "We add 3 and 4.\n", "Let $x = 2$. "]))
def test_a_stated_number_is_found_in_every_frame(value: int, before: str) -> None:
    for frame in (
        "the answer is {}",
        "Answer: {}.",
        "The answer is ${}$.",
        "so the total is {}.",
        "we get \\({}\\).",
    ):
        assert conclusion(before + frame.format(value)) == str(value)


def test_formulas_and_names_of_functions_are_no_prose() -> None:
    assert not is_prose("sqrt(2) and sin x")
    assert not is_prose("\\text{no solution exists}")
    assert not is_prose("36 dollars")
    assert is_prose("so it is")
    assert is_prose("hence $x$")
