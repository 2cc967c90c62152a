from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefix_rft.grading.extract import after_marker, extract, last_boxed, last_line, last_number, whole

plain = st.text(
    st.characters(exclude_characters="{}\\", exclude_categories=["Z", "C"]), min_size=1, max_size=6
)
piece = plain | st.sampled_from([r"\{", r"\}", r"\\", r"\frac{1}{2}", r"\text{ or }"])
nested = st.recursive(
    piece, lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda xs: "{" + "".join(xs) + "}")
)


@given(
    before=plain,
    content=nested,
    after=plain,
    command=st.sampled_from([r"\boxed", r"\fbox", r"\boxed ", "\\boxed\n"]),
)
def test_what_is_put_into_a_box_comes_out_of_it(before: str, content: str, after: str, command: str) -> None:
    assert last_boxed(f"{before} {command}{{{content}}} {after}") == content.strip()


@given(first=nested, last=nested)
def test_the_last_of_two_boxes_counts(first: str, last: str) -> None:
    assert last_boxed(rf"\boxed{{{first}}} so \boxed{{{last}}}") == last.strip()


@given(st.text())
def test_any_text_is_survived_by_every_rule(text: str) -> None:
    for rule in ("last_boxed", "after_marker", "last_number", "last_line", "whole"):
        answer = extract(text, [rule], ["#"])
        assert answer is None or answer == answer.strip() != ""


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right\}}", r"\left\{ x \right\}"),
        (r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        (r"\boxed {7}", "7"),
        (r"so $\boxed 5$.", "5"),
        (r"so \(\boxed 5\).", "5"),
        (r"$\boxed \frac12$", r"\frac12"),
        (r"it is \boxed -3, that is all", "-3"),
        (r"\fbox{958} values", "958"),
        (r"\boxed{1} and \fbox{2}", "2"),
        (r"\boxed{x = \boxed{5}}", "5"),
        (r"\boxed{5}, which I put into \boxed as asked", "5"),
        (r"\boxedup{3}", None),
        (r"\boxed{}", None),
        (r"\boxed{1} ... \boxed{ }", None),
        (r"\boxed{3} no, \boxed{\frac{1}{2", None),
        (r"\boxed{1 \}", None),
        ("no box", None),
        ("", None),
        (r"\boxed", None),
        ("\\boxed{a\x00b}", "a\x00b"),
        ("\\boxed{\ud800}", "\ud800"),
    ],
)
def test_last_boxed(response: str, answer: str | None) -> None:
    assert last_boxed(response) == answer


@pytest.mark.parametrize(
    ("response", "markers", "answer"),
    [
        ("steps\n#### 72", ["####"], "72"),
        ("#### 1\n#### 2 \nmore", ["####"], "2"),
        ("33-11=22#22", ["#"], "22"),
        ("**Answer:** 5", ["Answer:"], "5"),
        ("Answer:\n\n 5.\nbye", ["Answer:"], "5"),
        ("The answer is 1.5.", ["The answer is"], "1.5"),
        ("formula: 3", ["a:", "A:"], None),
        ("A: 3", ["A:"], "3"),
        ("DNA: 3", ["A:"], None),
        ("A: 3 and DNA: 4", ["A:"], "3 and DNA: 4"),
        ("####", ["####"], None),
        ("#### \nA: 4", ["Answer:", "A:"], "4"),
        ("A: 4 #### 5", ["####", "A:"], "5"),
        ("and so on...", ["and so"], "on..."),
    ],
)
def test_after_marker(response: str, markers: list[str], answer: str | None) -> None:
    assert after_marker(response, markers) == answer


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("from 3 to 4.", "4"),
        ("it costs $1,234.50.", "1234.50"),
        ("a loss of -780", "-780"),
        ("a loss of \N{MINUS SIGN}780", "-780"),
        ("-$5", "-5"),
        ("10-3", "3"),
        ("x2", None),
        ("about 3/4 of it", "3/4"),
        ("1.5e-3 m", "1.5e-3"),
        (".5", ".5"),
        ("1,2", "2"),
        ("none", None),
    ],
)
def test_last_number(response: str, answer: str | None) -> None:
    assert last_number(response) == answer


def test_last_line_and_whole() -> None:
    assert last_line("first\n **42.** \n\n") == "42"
    assert last_line("\n \n") is None
    assert whole(" a\nb ") == "a\nb"
    assert whole(" ") is None


def test_rules_are_tried_in_order_until_one_finds_an_answer() -> None:
    response = r"#### 3 \boxed{"
    assert extract(response, ["last_boxed", "after_marker"], ["####"]) == r"3 \boxed{"
    assert extract("see \\boxed{1}\n#### 3", ["last_boxed", "after_marker"], ["####"]) == "1"
    assert extract("see \\boxed{1}\n#### 3", ["after_marker", "last_boxed"], ["####"]) == "3"
    assert extract("nothing", ["last_boxed", "after_marker"], ["####"]) is None


def test_a_hostile_response_is_read_in_linear_time() -> None:
    for text in (
        r"\boxed{" * 50_000,
        r"\boxed " * 50_000,
        "{" * 100_000,
        "9" * 100_000,
        "1,111" * 20_000,
        "A:" * 50_000,
    ):
        extract(text, ["last_boxed", "after_marker", "last_number", "last_line"], ["A:"])
