from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.grading.boxes import last_boxed, last_boxes

content = st.text("0123456789xy+", min_size=1, max_size=5)
between = st.sampled_from(
    [" and ", ", ", r" \quad \text{or} \quad ", "$, $", r"\) and \( y_2 = ", r" \text{ for (a) and } "]
)


@given(contents=st.lists(content, min_size=1, max_size=6, unique=True), separator=between)
def test_boxes_in_a_list_are_one_answer(contents: list[str], separator: str) -> None:
    response = "so " + separator.join(rf"\boxed{{{part}}}" for part in contents) + "."
    assert last_boxes(response) == ", ".join(contents)
    assert last_boxed(response) == contents[-1]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{1}", "1"),
        (r"\boxed{1} which makes \boxed{2}", "2"),
        ("\\boxed{1}\n\n\\boxed{2}", "2"),
        ("\\boxed{1},\n\\boxed{2}", "1, 2"),
        (r"\boxed{1} no no no no no \boxed{2}", "2"),
        (r"\boxed{2} = \boxed{2}", "2"),
        (r"\boxed{2}, \boxed{2}", "2"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{1}, \boxed{\boxed{5}}", "5"),
        (r"\boxed{} and \boxed{3}", "3"),
        (r"\boxed{3} and \boxed{}", None),
        (r"\boxed{3} and \boxed{4", None),
        (r"\boxed 5, \boxed{6}", "5, 6"),
        (r"\boxed{5}, put it in a \boxed command", "5"),
        ("no box", None),
        ("", None),
    ],
)
def test_what_is_no_list_keeps_its_last_box(response: str, answer: str | None) -> None:
    assert last_boxes(response) == answer
