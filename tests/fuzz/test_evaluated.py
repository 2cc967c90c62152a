"""SymPy's `parse_expr` evaluates Python. What math-verify hands to it out of a model's answer is arithmetic alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from math_verify import parser

from prefix_rft.grading.verify import judge

ARITHMETIC = re.compile(r"[\d\s.+\-*/^()\u00d7\u00f7]*")
MADE = Path("evaluated")
WORDS = (
    *(
        "__import__('os').mkdir('evaluated')",
        "open('evaluated','w')",
        "().__class__",
        "lambda:0",
        "exec",
        "1",
        "(",
        ")",
    ),
    *(
        "+",
        "*",
        "**",
        "/",
        " ",
        ".",
        "$",
        r"\boxed{",
        "}",
        r"\text{",
        "answer is ",
        "final answer is ",
        "x",
        "'",
        "=",
        "1+2",
    ),
)


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """Everything that is handed to be evaluated."""
    asked: list[str] = []
    original = parser.parse_expr

    def watched(text: str, *rest: object, **named: object) -> object:
        asked.append(text)
        return original(text, *rest, **named)

    monkeypatch.setattr(parser, "parse_expr", watched)
    monkeypatch.chdir(tmp_path)
    parser.parse_expr_cached.cache_clear()
    yield asked
    assert not MADE.exists()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(words=st.lists(st.sampled_from(WORDS), max_size=10))
def test_nothing_but_arithmetic_is_evaluated(evaluated: list[str], words: list[str]) -> None:
    judge("5", "".join(words))
    judge("".join(words), "5")
    assert [text for text in evaluated if not ARITHMETIC.fullmatch(text)] == []


def test_the_watch_sees_arithmetic(evaluated: list[str]) -> None:
    judge("7", r"\boxed{(2+5)*1}")
    parser.parse("(2+5)*1", parsing_timeout=None)
    assert evaluated
    assert all(ARITHMETIC.fullmatch(text) for text in evaluated)
