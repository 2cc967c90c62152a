"""`prefix-rft prepare-data`: what it prints, what it refuses, and that its output is a data set of a run."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.commands import check_data
from experiments.commands.prepare_data import prepare_data
from experiments.compose import compose
from prefix_rft.data.scratch import train_scratch_tokenizer
from prefix_rft.errors import DataError, SettingsError

Run = Callable[..., str]


def row(index: int, answer: int, *, target: bool = True) -> dict[str, Any]:
    said = [{"content": f"<think>\nHm.\n</think>\nIt is \\boxed{{{answer}}}.", "role": "assistant"}]
    return {
        "data_source": "",
        "prompt": [{"content": f"What is {index} - {index - 4}?", "role": "user"}],
        "target": said if target else None,
        "ability": "math",
        "reward_model": {"ground_truth": "4", "style": "rule"},
        "extra_info": {"index": index, "split": "default"},
    }


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Prepare 40 rows of a file, 3 wrong and 2 without a demonstration, with a small tokenizer; what is printed."""
    train_scratch_tokenizer(["What is 2 - 1? It is 4."], 280, tmp_path / "tokenizer")
    rows = [row(index, 5 if index in (3, 4, 5) else 4, target=index not in (7, 8)) for index in range(40)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(item) + "\n" for item in rows))

    def prepared(*overrides: str, **options: Any) -> str:
        console = Console(file=io.StringIO(), width=160)
        whole = {
            "out": tmp_path / "out.jsonl",
            "file": tmp_path / "in.jsonl",
            "tokenizer": str(tmp_path / "tokenizer"),
            "workers": 1,
            **options,
        }
        assert (
            prepare_data("openr1", [*overrides, "data.grading.verifier=exact"], **whole, console=console) == 0
        )
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return prepared


def test_it_prints_what_was_found_and_what_came_of_it(run: Run, tmp_path: Path) -> None:
    said = run()
    lines = [line.split() for line in said.splitlines()]
    assert ["no", "target", "2", "2"] in lines
    assert ["wrong", "demonstration", "3", "3"] in lines
    assert "row 4 (default-3), wrong demonstration: answer '5', gold '4'" in said.splitlines()
    assert "40 questions of 40 rows, 38 demonstrations, 35 of them right (92.1%)" in said
    assert f"train on it with data=openr1_prepared data.path={tmp_path / 'out.jsonl'}" in said
    again = run()
    assert again.splitlines() == [
        f"{tmp_path / 'out.jsonl'} was prepared before, in the same way",
        *said.splitlines(),
    ]


def test_rules_and_budgets_are_taken(run: Run) -> None:
    assert "38 questions of 40 rows, 38 dem" in run(rules={"no_demonstration": "drop"})
    assert "20 rows" in run("data.limit=20", force=True)
    with pytest.raises(DataError, match="--force"):
        run()
    with pytest.raises(SettingsError, match="wrong_demonstration"):
        run(rules={"wrong_demonstration": "mend"})
    with pytest.raises(DataError, match=r"no usable row among 40.*data\.max_prompt_tokens=3"):
        run("data.max_prompt_tokens=3", force=True)


def test_the_output_is_a_clean_data_set_of_a_run(run: Run, tmp_path: Path) -> None:
    run()
    overrides = ["scale=paper", "data=openr1_prepared", f"data.path={tmp_path / 'out.jsonl'}"]
    held = ["data.validation_questions=2", "data.test_questions=2"]
    out = io.StringIO()
    prepared = check_data.prepare([*overrides, *held], str(tmp_path / "tokenizer"))
    assert check_data.check_data(*prepared, Console(file=out, width=160)) == 0
    (train,) = [line.split() for line in out.getvalue().splitlines() if " train " in line]
    assert next(cell for cell in train if cell.isdigit()) == "36"
    paper = compose(overrides)
    assert (paper.data.max_prompt_tokens, paper.data.max_response_tokens) == (1024, 8192)


def test_refusals_name_the_choices(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="Known: openr1"):
        prepare_data("openr2", [], out=tmp_path / "x.jsonl", console=Console())
    with pytest.raises(SettingsError, match=r"end in \.jsonl"):
        run(out=tmp_path / "x.parquet")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"`prefix-rft prepare-model Qwen/Qwen2\.5-Math-7B"):
        run(tokenizer=None)
