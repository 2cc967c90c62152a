"""The stage that makes a starting model: the tiny model's schooling, the scratch model, and refusals."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from prefix_rft.data.chain_encoder import ChainEncoder
from prefix_rft.data.encode import load_encoder
from prefix_rft.errors import SettingsError, TrainingError
from prefix_rft.local.base import _is_learnt, _NotLearntError, _Schooling, make_base
from prefix_rft.local.policy import load_policy
from prefix_rft.runs.checkpoint import Checkpoint, latest_checkpoint, save_checkpoint, verify
from prefix_rft.runs.identity import base_identity, train_identity
from prefix_rft.runs.metrics import MetricsWriter
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import LocalBackend, RunConfig, parse
from prefix_rft.stop import InterruptedRunError, StopFlag

TINY = {
    "kind": "tiny",
    "architecture": {
        "hidden_size": 16,
        "layers": 1,
        "heads": 2,
        "key_value_heads": 2,
        "intermediate_size": 32,
    },
}
SHORT = TINY | {"single_steps": 0, "skill_steps": 0, "polish_steps": 30, "habit_steps": 12}


def _config(model: dict[str, Any], data: dict[str, Any] | None = None) -> RunConfig:
    return parse(RunConfig, {"method": {"name": "rft"}, "model": model, "data": data or {"kind": "chain"}})


def _run(store: Path, config: RunConfig) -> RunDir:
    return Store(store).create(base_identity(config) or train_identity(config), config)


def _silent(step: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Schooled:
    run: RunDir
    folder: Path
    """Of the checkpoint."""
    told: list[tuple[int, int]]
    """What was said about progress."""

    @property
    def weights(self) -> bytes:
        return (self.folder / "model.safetensors").read_bytes()


def _school(store: Path, **model: Any) -> Schooled:
    config = _config(SHORT | model)
    run, told = _run(store, config), list[tuple[int, int]]()
    last = make_base(config, run, stop=StopFlag(), progress=lambda step, total: told.append((step, total)))
    newest = latest_checkpoint(run.path)
    assert newest is not None
    verify(newest)
    assert newest.step == last
    return Schooled(run, newest.path, told)


@pytest.fixture(scope="module")
def schooled(tmp_path_factory: pytest.TempPathFactory) -> Schooled:
    return _school(tmp_path_factory.mktemp("store"))


def test_schooling_is_the_same_every_time_and_another_seed_another_model(
    tmp_path: Path, schooled: Schooled
) -> None:
    assert _school(tmp_path).weights == schooled.weights
    assert _school(tmp_path, base_seed=1).weights != schooled.weights


def test_schooling_is_measured_and_learns(schooled: Schooled) -> None:
    assert schooled.told == [(step, 42) for step in range(1, 43)]
    rows = schooled.run.metrics()
    assert [(row["step"], row["phase"]) for row in rows] == [(20, "polish"), (40, "habit")]
    assert rows[1]["loss"] < 2.3  # ln 11 = 2.398 is the loss of guessing


def test_the_checkpoint_is_a_whole_model_folder(schooled: Schooled) -> None:
    assert load_encoder(schooled.folder) == ChainEncoder(4)
    assert load_policy(schooled.folder, LocalBackend()).path == "fast"
    assert json.loads((schooled.folder / "config.json").read_text())["vocab_size"] == 11
    assert "model.embed_tokens.weight" in load_file(schooled.folder / "model.safetensors")


@pytest.mark.parametrize(
    ("steps", "phase"), [({"single_steps": 25}, "single"), ({"single_steps": 0, "skill_steps": 25}, "skill")]
)
def test_a_base_that_does_not_learn_is_refused_with_the_way_out(
    tmp_path: Path, steps: dict[str, int], phase: str
) -> None:
    config = _config(TINY | steps | {"base_seed": 7, "attempts": 2})
    run = _run(tmp_path, config)
    with pytest.raises(
        TrainingError, match=rf"base_seed=7 has not learnt the phase '{phase}' in model\.{phase}_steps=25 \("
    ) as e:
        make_base(config, run, stop=StopFlag(), progress=_silent)
    assert "the last of model.attempts=2; take another model.base_seed or raise the phase's steps" in str(
        e.value
    )
    assert latest_checkpoint(run.path) is None


def test_an_attempt_that_does_not_learn_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, train = list[int](), _Schooling.train

    def first_fails(self: _Schooling, phases: Any, stop: StopFlag, progress: Any) -> int:
        began.append(self.seed)
        last = train(self, phases, stop, progress)
        if len(began) == 1:
            raise _NotLearntError
        return last

    monkeypatch.setattr(_Schooling, "train", first_fails)
    second = _school(tmp_path)
    assert len(set(began)) == 2
    assert [row["step"] for row in second.run.metrics()] == [20, 40], "the failed attempt leaves no metrics"


def test_a_phase_ends_once_it_is_learnt() -> None:
    losses = deque([0.02] * 19, maxlen=20)
    assert not _is_learnt(losses, 0.1), "a whole window of losses is wanted"
    losses.append(0.02)
    assert _is_learnt(losses, 0.021)
    assert not _is_learnt(losses, 0.02)
    assert not _is_learnt(losses, None)


def test_letters_of_the_task_are_in_the_vocabulary(tmp_path: Path) -> None:
    wordy = {"kind": "chain", "fillers": 2, "filler_kinds": 5, "max_response_tokens": 42}
    config = _config(SHORT | {"polish_steps": 1, "habit_steps": 1}, wordy)
    run = _run(tmp_path, config)
    make_base(config, run, stop=StopFlag(), progress=_silent)
    newest = latest_checkpoint(run.path)
    assert newest is not None
    assert load_encoder(newest.path) == ChainEncoder(4, 5)
    assert json.loads((newest.path / "config.json").read_text())["vocab_size"] == 16


def test_a_stopped_schooling_starts_over_and_ends_alike(tmp_path: Path, schooled: Schooled) -> None:
    config = _config(SHORT)
    run, stop = _run(tmp_path, config), StopFlag()

    def stop_at_25(step: int, total: int) -> None:
        stop.signal = "SIGTERM" if step == 25 else None

    with pytest.raises(InterruptedRunError, match="SIGTERM"):
        make_base(config, run, stop=stop, progress=stop_at_25)
    assert latest_checkpoint(run.path) is None
    again = _school(tmp_path)
    assert again.run.path == run.path
    assert again.run.metrics() == schooled.run.metrics()
    assert again.weights == schooled.weights


def test_a_schooling_that_never_said_it_was_done_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    """Killed after its checkpoint: were that kept, its weights would stand beside another attempt's curve."""
    config = _config(SHORT | {"polish_steps": 1, "habit_steps": 1})
    run = _run(tmp_path, config)
    make_base(config, run, stop=StopFlag(), progress=_silent)
    newest = latest_checkpoint(run.path)
    assert newest is not None
    MetricsWriter(run.path).append(newest.step + 1000, "train", {"loss": 0.0})
    save_checkpoint(
        run.path, newest.step + 1000, lambda folder: (folder / "model").write_text("older"), keep=1
    )
    seen: list[Checkpoint | None] = []
    make_base(config, run, stop=StopFlag(), progress=lambda *_: seen.append(latest_checkpoint(run.path)))
    assert set(seen) == {None}
    assert latest_checkpoint(run.path) == newest
    assert all(row["step"] <= newest.step for row in run.metrics())


@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_a_scratch_model_has_a_row_for_every_token(tmp_path: Path, family: str) -> None:
    file = tmp_path / "rows.jsonl"
    rows = [
        {"id": i, "problem": f"What is {i} + {i}?", "answer": str(2 * i), "solution": f"{2 * i}."}
        for i in range(40)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shape = TINY["architecture"] | {"max_positions": 64, "family": family}  # type: ignore[operator]
    config = _config(
        {"kind": "scratch", "architecture": shape, "vocabulary": 300},
        {
            "kind": "jsonl",
            "path": str(file),
            "validation_questions": 4,
            "test_questions": 4,
            "max_prompt_tokens": 32,
            "max_response_tokens": 32,
        },
    )
    run = _run(tmp_path / "store", config)
    assert make_base(config, run, stop=StopFlag(), progress=_silent) == 1
    newest = latest_checkpoint(run.path)
    assert newest is not None
    encoder = load_encoder(newest.path)
    assert encoder.decode(encoder.encode_response("What is 7 + 7?")) == "What is 7 + 7?"
    rows_of_embedding = json.loads((newest.path / "config.json").read_text())["vocab_size"]
    ids = encoder.encode_response("a text with <|endoftext|>, <|eos|> and </s> in it")
    assert max(ids) < encoder.vocabulary_size <= rows_of_embedding


def test_a_given_model_needs_no_base(tmp_path: Path, chain_task: Any) -> None:
    config = chain_task.config()
    with pytest.raises(SettingsError, match=r"model\.kind=pretrained.*needs no base stage"):
        make_base(config, _run(tmp_path, config), stop=StopFlag(), progress=_silent)
