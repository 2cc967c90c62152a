"""One benchmark from problems to scores, with a sampler that writes by key."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eval.benchmarks.load import Loaded
from eval.benchmarks.registry import BENCHMARKS
from eval.benchmarks.schema import Problem
from eval.frames import SCIENTIFIC, Evaluated
from eval.protocols.catalogue import find
from eval.results import read_scores
from eval.samples import SAMPLES, read_rows, samples_path
from eval.suite import Asked, place
from eval.suite import measure as measure_into
from prefix_rft.grading import make_grader
from prefix_rft.settings.grading import GradingSettings


class Writes:
    """Gives every problem the response that stands beside it, whatever the key."""

    name, version, subject, batch = "written", "written 1", "model 0", 4

    def __init__(self, responses: dict[str, str]) -> None:
        self.responses, self.asked = responses, 0

    def sample(self, prompts: Any, key_B: Any, decoding: Any) -> Any:
        from eval.sampler import Response

        self.asked += len(prompts)
        return [Response(self.responses[prompt.id], 5, True) for prompt in prompts]


def measure(asked: Asked, sampler: Any, encoder: Any, root: Path, **more: Any) -> Evaluated:
    return measure_into(asked, sampler, encoder, place(asked, sampler, root), **more)


def asked(name: str, answers: dict[str, str], **changes: Any) -> Asked:
    problems = tuple(Problem(id=key, problem=f"What is {key}?", answer=gold) for key, gold in answers.items())
    loaded = Loaded(BENCHMARKS[name], problems, "0" * 16)
    return replace(Asked(loaded, find("plain"), samples=2, max_tokens=16, seed=0), **changes)


def test_scores_carry_benchmark_and_protocol(tmp_path: Path) -> None:
    sampler = Writes({"a": r"so \boxed{7}", "b": "no idea"})
    done = measure(asked("aime24", {"a": "7", "b": "8"}), sampler, None, tmp_path)
    record = done.scores.protocol
    assert done.scores.headline.value == 0.5
    assert (record.name, record.split, record.questions, record.samples) == ("plain", "aime24", 2, 2)
    assert done.folder == tmp_path / "aime24" / f"plain-{record.digest}"
    assert done.scientific is None
    assert read_scores(done.folder) == done.scores


def test_a_second_call_makes_and_grades_nothing(tmp_path: Path) -> None:
    question = asked("aime24", {"a": "7"})
    measure(question, Writes({"a": r"\boxed{7}"}), None, tmp_path)
    again = Writes({})

    def refuse(_: GradingSettings) -> Any:
        class Refuses:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None: ...

            def grade(self, pairs: Any) -> Any:
                raise AssertionError(f"graded again: {pairs}")

        return Refuses()

    assert measure(question, again, None, tmp_path, make_grader=refuse).scores.headline.value == 1
    assert again.asked == 0


@pytest.mark.parametrize(
    "change", [{"max_tokens": 17}, {"seed": 1}, {"samples": 3}, {"protocol": find("relift")}]
)
def test_another_measurement_is_another_folder(tmp_path: Path, change: dict[str, Any]) -> None:
    question = asked("aime24", {"a": "7"})
    sampler = Writes({"a": r"\boxed{7}"})
    first = measure(question, sampler, None, tmp_path)
    second = measure(replace(question, **change), sampler, None, tmp_path)
    assert first.folder != second.folder
    assert sampler.asked == first.scores.samples + second.scores.samples


def test_minerva_has_a_protocol_score_and_a_normalised_one(tmp_path: Path) -> None:
    sampler = Writes({"a": r"\boxed{3 \times 10^{8}}", "b": r"\boxed{5}"})
    done = measure(asked("minerva", {"a": "3e8", "b": "5"}), sampler, None, tmp_path, make_grader=make_grader)
    assert done.scientific is not None
    assert (done.scores.headline.value, done.scientific.headline.value) == (0.5, 1.0)
    assert sampler.asked == 4, "the normalised score is one of the same samples"
    beside = done.folder / SCIENTIFIC
    rows = [list(read_rows(samples_path(folder), SAMPLES)) for folder in (done.folder, beside)]
    assert rows[0] == rows[1]
    assert json.loads((beside / "protocol.json").read_text())["protocol"]["name"] == "plain.scientific"
    assert done.scores.protocol.digest != done.scientific.protocol.digest


def test_where_links_are_impossible_the_samples_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("eval.suite.os.link", no_links)
    done = measure(asked("minerva", {"a": "3e8"}), Writes({"a": r"\boxed{3e8}"}), None, tmp_path)
    assert done.scientific is not None
    assert samples_path(done.folder).read_bytes() == samples_path(done.folder / SCIENTIFIC).read_bytes()


def test_allowed_changes_of_the_data_go_with_the_score(tmp_path: Path) -> None:
    question = asked("aime24", {"a": "7"})
    changed = replace(question, loaded=replace(question.loaded, changes=("problem aime24-0 is missing",)))
    done = measure(changed, Writes({"a": r"\boxed{7}"}), None, tmp_path)
    assert done.scores.protocol.data_changes == ("problem aime24-0 is missing",)


def test_samples_made_again_differently_are_graded_again_in_both_ways(tmp_path: Path) -> None:
    question = asked("minerva", {"a": "3e8"})
    first = measure(question, Writes({"a": r"\boxed{3e8}"}), None, tmp_path)
    assert first.scientific is not None
    assert first.scientific.headline.value == 1
    samples_path(first.folder).unlink()
    again = measure(question, Writes({"a": r"\boxed{4e8}"}), None, tmp_path)
    assert again.scientific is not None
    assert (again.scores.headline.value, again.scientific.headline.value) == (0, 0)


@pytest.mark.parametrize(
    ("protocol", "family", "template"),
    [
        ("prefix_rft", "llama", "tokenizer, any family"),
        ("prefix_rft", "qwen3", "tokenizer, any family"),
        ("luffy", "qwen3", "tokenizer, any family"),
        ("luffy", "llama", "plain, llama"),
    ],
)
def test_a_family_is_recorded_where_it_is_asked_in_its_own_way(
    protocol: str, family: str, template: str
) -> None:
    question = asked("aime24", {"a": "7"}, protocol=find(protocol, family), family=family)
    record = question.record(question.protocol.grading, Writes({}), protocol)
    assert record.template == template
