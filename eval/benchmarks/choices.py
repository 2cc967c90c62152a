"""Multiple-choice rows of the hub as one text: the question, then each option on a line of its own, `A. ...`.

The answer is the letter of the right option. GPQA states the right option apart from the wrong ones, so their order is
ours: drawn once for each problem, by a key of its text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from eval.benchmarks.schema import Choices
from prefix_rft import keyed
from prefix_rft.data.rows import RowError, missing_column

_GPQA_WRONG = ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")


def with_options(row: Mapping[str, Any], layout: Choices, key: str) -> tuple[str, str]:
    """The problem with its options, and the letter of the right one.

    Args:
        row: a row in the layout.
        layout: arc (allenai/ai2_arc), gpqa (Idavidrein/gpqa), mmlu_pro (TIGER-Lab/MMLU-Pro).
        key: keys the order of options where the layout has none.

    Raises:
        RowError: a column is missing, or the row names no right option.
    """
    if layout == "gpqa":
        return _gpqa(row, key)
    if layout == "arc":
        choices = _get(row, "choices")
        labels, options = list(choices["label"]), list(choices["text"])
        answer, column = _get(row, "answerKey"), "answerKey"
    else:
        options = list(_get(row, "options"))
        labels, answer, column = list(ascii_uppercase[: len(options)]), _get(row, "answer"), "answer"
    if answer not in labels:
        raise RowError(column, f"{answer!r} is none of the options {', '.join(map(str, labels))}")
    return shown(_get(row, "question"), options), ascii_uppercase[labels.index(answer)]


def shown(question: str, options: Sequence[str]) -> str:
    """The question and its options as the model reads them."""
    lines = [f"{letter}. {option.strip()}" for letter, option in zip(ascii_uppercase, options, strict=False)]
    return "\n".join([question.strip(), *lines])


def _gpqa(row: Mapping[str, Any], key: str) -> tuple[str, str]:
    question = _get(row, "Question")
    options = [_get(row, column) for column in ("Correct Answer", *_GPQA_WRONG)]
    order = sorted(range(len(options)), key=lambda index: keyed.key("options", key, question, index))
    return shown(question, [options[index] for index in order]), ascii_uppercase[order.index(0)]


def _get(row: Mapping[str, Any], column: str) -> Any:
    if column not in row:
        raise missing_column(column, list(row), "eval/benchmarks/choices.py")
    return row[column]
