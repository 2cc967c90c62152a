"""The hub's copies: columns, names and options become problems; what cannot be had is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from eval.benchmarks import BENCHMARKS, Benchmark, Problem, load
from eval.benchmarks.choices import with_options
from prefix_rft.data.rows import RowError
from prefix_rft.errors import DataError

Three = tuple[Problem, ...]


class Hub:
    """Stands for `datasets.load_dataset`: notes what is asked and gives rows."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.rows = rows
        self.asked: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Sequence[dict[str, Any]]:
        self.asked.append((args, kwargs))
        return self.rows


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    import datasets

    made = Hub([])
    monkeypatch.setattr(datasets, "load_dataset", made)
    return made


def test_columns_become_problems_under_the_manifests_names(toy: Benchmark, three: Three, hub: Hub) -> None:
    hub.rows = [
        {"number": 61, "question": three[1].problem, "answer": 3.0, "url": "u"},
        {"number": 60, "question": three[0].problem, "answer": 8.0, "url": "u"},
        {"number": 62, "question": three[2].problem, "answer": [4], "url": "u"},
    ]
    loaded = load(toy, None)
    assert [(item.id, item.answer, item.meta) for item in loaded.problems] == [
        (f"toy-{index}", answer, {"url": "u"}) for index, answer in enumerate("834")
    ]
    assert loaded.digest == toy.digest
    assert hub.asked == [(("nobody/toy", None), {"revision": None, "split": "test"})]


def test_names_that_are_the_manifests_less_its_prefix_tell_what_changed(
    toy: Benchmark, three: Three, hub: Hub
) -> None:
    hub.rows = [
        {"number": index, "question": item.problem, "answer": item.answer} for index, item in enumerate(three)
    ]
    hub.rows[1]["question"] = "Another wording."
    assert load(toy, None, allow_changed=True).changes == ("toy-1: another problem text",)


def test_olympiads_answer_is_a_list_of_one(hub: Hub) -> None:
    benchmark = BENCHMARKS["olympiad"]
    hub.rows = [{"id": 9, "question": "q", "final_answer": ["$2$"], "context": None}]
    loaded = load(benchmark, None, allow_changed=True)
    assert (loaded.problems[0].id, loaded.problems[0].answer) == ("olympiad-9", "$2$")
    assert len(loaded.changes) == 676
    args, kwargs = hub.asked[0]
    assert args == ("Hothan/OlympiadBench", "OE_TO_maths_en_COMP")
    assert kwargs["revision"] == benchmark.hub.revision


def test_a_missing_column_is_named(toy: Benchmark, hub: Hub) -> None:
    hub.rows = [{"number": 1, "problem": "q", "answer": "1"}]
    with pytest.raises(
        DataError, match=r"nobody/toy, split test, on the hub, row 1, field 'question': there is no"
    ):
        load(toy, None)


def test_what_cannot_be_had_says_where_else_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("Couldn't reach the hub\nmore")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(DataError) as refused:
        load(BENCHMARKS["gpqa_diamond"], None)
    told = str(refused.value)
    assert (
        "Idavidrein/gpqa (gpqa_diamond), split train, on the hub cannot be had: Couldn't reach the hub"
        in told
    )
    assert "It is gated" in told
    assert "PREFIX_RFT_BENCHMARKS" in told


def test_arcs_labels_become_letters() -> None:
    row = {
        "question": "Which?",
        "choices": {"label": ["1", "2", "3"], "text": ["red", "green", "blue"]},
        "answerKey": "3",
    }
    assert with_options(row, "arc", "arc_c") == ("Which?\nA. red\nB. green\nC. blue", "C")


def test_mmlu_pros_letter_is_kept() -> None:
    row = {"question": "Which? ", "options": ["a", "b", "c", "d", "e"], "answer": "E"}
    assert with_options(row, "mmlu_pro", "mmlu_pro") == ("Which?\nA. a\nB. b\nC. c\nD. d\nE. e", "E")


def test_gpqas_options_are_put_in_an_order_of_their_own_once_and_for_all() -> None:
    letters = set()
    for number in range(40):
        row = {
            "Question": f"Which {number}?",
            "Correct Answer": "right",
            **{f"Incorrect Answer {index}": f"wrong {index}" for index in (1, 2, 3)},
        }
        text, letter = with_options(row, "gpqa", "gpqa_diamond")
        assert (text, letter) == with_options(row, "gpqa", "gpqa_diamond")
        assert f"{letter}. right" in text.splitlines()
        assert len(text.splitlines()) == 5
        letters.add(letter)
    assert letters == set("ABCD")


def test_an_answer_that_is_no_option_is_refused() -> None:
    row = {"question": "Which?", "options": ["a", "b"], "answer": "C"}
    with pytest.raises(RowError, match="'C' is none of the options A, B"):
        with_options(row, "mmlu_pro", "mmlu_pro")
    with pytest.raises(RowError, match="choices"):
        with_options(row, "arc", "arc_c")
