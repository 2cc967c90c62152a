"""A run's training from end to end: what it writes, and what it refuses before it does harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from prefix_rft.errors import CheckpointError, DataError, SettingsError, TrainingError
from prefix_rft.local import trainer
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.policy import load_policy
from prefix_rft.local.trainer import Trainer
from prefix_rft.runs.checkpoint import latest_checkpoint, verify
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.store import RunDir, Store
from prefix_rft.settings import LocalBackend, RunConfig, VerlBackend, parse
from prefix_rft.stop import StopFlag


@dataclass
class Training:
    """Runs the trainer in this process, graded by chance."""

    task: Any
    grader: Any
    store: Path
    told: list[tuple[int, int]] = field(default_factory=list)

    def run(self, config: RunConfig) -> RunDir:
        return Store(self.store).create(train_identity(config), config)

    def train(self, config: RunConfig, *, start: Path | None = None, stop: StopFlag | None = None) -> RunDir:
        run = self.run(config)
        made = Trainer(config, run, start or self.task.model, self.grader)
        made.run_steps(stop or StopFlag(), lambda step, total: self.told.append((step, total)))
        return run


@pytest.fixture
def training(chain_task: Any, coin: Any, tmp_path: Path) -> Training:
    return Training(chain_task, coin, tmp_path / "runs")


def _rl(**changes: Any) -> dict[str, Any]:
    return {"rl": {"questions_per_step": 6, "steps": 6, "learning_rate": 1e-2, "mini_batches": 2, **changes}}


def test_every_step_is_told_and_measured(training: Training) -> None:
    config = training.task.config(optimisation=_rl(validate_every=4))
    rows = training.train(config).metrics()
    assert training.told == [(step, 6) for step in range(7)]
    assert [(row["step"], row["kind"]) for row in rows] == [
        (1, "train"),
        (2, "train"),
        (3, "train"),
        (4, "train"),
        (4, "validation"),
        (5, "train"),
        (6, "train"),
        (6, "validation"),
    ]
    first = rows[0]
    assert first.keys() >= {
        "reward",
        "reward_hybrid",
        "response_length",
        "truncated",
        "prefix_share",
        "prefix_tokens",
        "decode_steps",
        "loss",
        "grad_norm",
        "learning_rate",
        "clip_fraction",
        "approx_kl",
        "entropy",
        "updated_rows",
        "imitated_tokens",
        "time/step",
        "time/generate",
        "time/grade",
        "time/update",
    }
    assert first["learning_rate"] == 0.01
    assert first["reward"] * 18 == pytest.approx(round(first["reward"] * 18)), "18 ordinary rollouts, 0 or 1"
    assert rows[4].keys() >= {"validation/accuracy", "validation/response_length"}


def test_the_gradients_parts_are_measured_now_and_then_and_change_no_bit(training: Training) -> None:
    """At rollout steps 1, 3 and 5, in front of both mini-batches."""
    results = []
    for every in (0, 2):
        run = training.train(training.task.config(optimisation=_rl(gradient_norms_every=every)))
        rows = [row for row in run.metrics() if row["kind"] == "train"]
        measured = {row["step"] for row in rows if "grad_norm_imitated" in row}
        assert measured == (set() if every == 0 else {1, 3, 5})
        newest = latest_checkpoint(run.path)
        assert newest is not None
        parts = {"grad_norm_imitated", "grad_norm_explored", "grad_share_imitated"}
        left = [{k: v for k, v in row.items() if k not in parts and "time/" not in k} for row in rows]
        results.append((left, (newest.path / "model.safetensors").read_bytes()))
        for row in rows:
            if row["step"] in measured:
                imitated, explored = row["grad_norm_imitated"], row["grad_norm_explored"]
                assert abs(imitated - explored) <= row["grad_norm"] * 1.001 <= (imitated + explored) * 1.002
    assert results[0] == results[1]


def test_a_hybrid_run_compares_both_kinds_of_rollouts_and_tokens(training: Training) -> None:
    first = training.train(training.task.config(optimisation=_rl(steps=1))).metrics()[0]
    assert first["reward_gap"] == pytest.approx(first["reward_hybrid"] - first["reward"])
    tokens = first["imitated_tokens"] + first["explored_tokens"]
    assert first["imitated_share"] == pytest.approx(first["imitated_tokens"] / tokens)
    # Tokens of an untrained model: 13 in the vocabulary, all nearly equally likely.
    assert 0 < first["entropy_imitated"] < 2.6


@pytest.mark.parametrize(("name", "has"), [("uft", False), ("dr_po", False), ("luffy", True)])
def test_rewards_of_ordinary_rollouts_are_not_mixed_with_others(
    training: Training, name: str, has: bool
) -> None:
    """All of DR-PO's and, in the first step, of UFT's rollouts continue a prefix; LUFFY's are all its own."""
    method = {"name": name, "rollouts": 4, **({"start": 1.0} if name == "uft" else {})}
    first = training.train(training.task.config(method=method, optimisation=_rl(steps=2))).metrics()[0]
    assert ("reward" in first) == has
    assert ("reward_hybrid" in first) == (not has)
    assert "reward_gap" not in first


def test_the_offered_share_of_the_demonstration_falls(training: Training) -> None:
    schedule = {"kind": "cosine", "start": 0.9, "end": 0.05, "high": 0.9}
    method = {"name": "prefix_rft", "rollouts": 2, "schedule": schedule}
    rows = training.train(training.task.config(method=method, optimisation=_rl(steps=10))).metrics()
    tokens = [row["prefix_tokens"] for row in rows if row["kind"] == "train"]
    assert tokens[0] == 16  # 0.9 of 18 tokens: 2 operations of 6 tokens each, 6 for the answer and its end
    assert sum(tokens[-3:]) < sum(tokens[:3])


def test_imitation_passes_over_the_data(training: Training) -> None:
    sft = {"questions_per_step": 10, "epochs": 2, "learning_rate": 1e-2, "warmup_fraction": 0.0}
    run = training.train(training.task.config("sft", optimisation={"sft": sft}))
    rows = [row for row in run.metrics() if row["kind"] == "train"]
    assert [row["updated_rows"] for row in rows] == [10, 10, 10, 2] * 2
    assert rows[-1]["loss"] < 0.95 * rows[0]["loss"]
    assert "reward" not in rows[0]
    assert "entropy" not in rows[0]


def test_the_checkpoint_is_what_transformers_loads(training: Training) -> None:
    """The logits of the last checkpoint under both readers; the tokenizer reads the task's text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = training.train(training.task.config(optimisation=_rl(steps=2)))
    newest = latest_checkpoint(run.path)
    assert newest is not None
    verify(newest)
    model = AutoModelForCausalLM.from_pretrained(newest.path)
    ids_BL = torch.tensor([AutoTokenizer.from_pretrained(newest.path)("12+03-11?=3")["input_ids"]])
    theirs = model(ids_BL).logits[0, 8:-1].log_softmax(-1).gather(-1, ids_BL[0, 9:, None])[:, 0]
    ours, _ = load_policy(newest.path, LocalBackend()).logprobs(
        ids_BL, torch.tensor([9]), torch.tensor([2]), with_entropy=False
    )
    torch.testing.assert_close(ours[0], theirs, rtol=1e-4, atol=1e-5)


def test_checkpoints_come_when_due_and_only_the_newest_stay(training: Training) -> None:
    config = training.task.config(
        optimisation=_rl(checkpoint_every=2, steps=7), backend={"keep_checkpoints": 2}
    )
    assert [checkpoint.step for checkpoint in training.train(config).checkpoints()] == [6, 7]
    last_only = training.task.config(optimisation=_rl(checkpoint_every=0, steps=5))
    assert [checkpoint.step for checkpoint in training.train(last_only).checkpoints()] == [5]


def test_a_finished_run_is_left_as_it_is(training: Training) -> None:
    config = training.task.config(optimisation=_rl(steps=2))
    run = training.train(config)
    rows = run.metrics()
    training.told.clear()
    training.train(config)
    assert training.told == [(2, 2)]
    assert run.metrics() == rows


def test_the_grader_of_the_settings_is_the_reward(training: Training) -> None:
    """`train` itself: an untrained model solves nothing by the rules of the task."""
    config = training.task.config(optimisation=_rl(steps=1))
    run = training.run(config)
    told: list[int] = []
    last = trainer.train(
        config, run, training.task.model, stop=StopFlag(), progress=lambda step, _: told.append(step)
    )
    assert (last, told) == (1, [0, 1])
    assert run.metrics()[0]["reward"] <= 1 / 18


# What is refused.


def _rows(file: Path, **changes: Callable[[int], str]) -> Path:
    fields: dict[str, Callable[[int], str]] = {
        "problem": lambda i: f"{i % 4}+{i // 4}?",
        "answer": str,
        "solution": lambda i: f"=0{i % 4}#0",
    }
    rows = [{"id": f"q{i}"} | {name: make(i) for name, make in (fields | changes).items()} for i in range(12)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def _files(path: Path, **changes: Any) -> dict[str, Any]:
    held_out = {"validation_questions": 0, "test_questions": 0}
    return (
        {"kind": "jsonl", "path": str(path), "max_prompt_tokens": 8, "max_response_tokens": 8}
        | held_out
        | changes
    )


def test_a_demonstration_beyond_the_budget_is_refused_or_left_out_and_listed(
    training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _rows(tmp_path / "rows.jsonl", solution=lambda i: "=0000000000#0" if i == 7 else "=00#0")
    config = training.task.config(data=_files(file), optimisation=_rl(steps=1))
    with pytest.raises(
        DataError, match=r"question q7: the demonstration has 14 tokens.*max_response_tokens=8\. Raise"
    ):
        training.train(config)
    assert training.run(config).checkpoints() == []
    run = training.train(
        training.task.config(data=_files(file, skip_bad_rows=True), optimisation=_rl(steps=1))
    )
    assert "1 rows or questions are left out:\nquestion q7" in capsys.readouterr().out
    assert [e["count"] for e in run.events() if e["event"] == "rows left out"] == [1]


def test_imitation_without_demonstrations_is_refused(training: Training, tmp_path: Path) -> None:
    data = _files(_rows(tmp_path / "rows.jsonl"), columns={"demonstration": None})
    with pytest.raises(DataError, match=r"no training question has a demonstration.*nothing else to learn"):
        training.train(training.task.config("sft", data=data))


def test_more_questions_a_step_than_there_are_is_refused(training: Training) -> None:
    config = training.task.config(optimisation=_rl(questions_per_step=33))
    with pytest.raises(
        SettingsError, match=r"questions_per_step=33 exceeds the 32 training questions; lower it"
    ):
        training.train(config)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(training: Training) -> None:
    config = training.task.config(backend={"device": "cuda"})
    with pytest.raises(
        TrainingError, match=r"backend\.device=cuda is not available.*Use backend\.device=cpu"
    ):
        training.train(config)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_weights_are_refused_before_they_earn_rewards_of_zero(
    training: Training, tmp_path: Path, value: float
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(training.task.model, broken)
    state = load_file(broken / "model.safetensors")
    state["model.norm.weight"][3] = value
    save_file(state, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        TrainingError, match=r"broken holds NaN or infinite weights, in 1 of its tensors \(norm"
    ):
        training.train(training.task.config(), start=broken)


def test_a_diverging_run_names_its_step_and_keeps_the_checkpoint_before(training: Training) -> None:
    healthy = training.task.config(optimisation=_rl(checkpoint_every=1, steps=6))
    stop = StopFlag()
    run = training.run(healthy)
    made = Trainer(healthy, run, training.task.model, training.grader)

    def spoil(step: int, total: int) -> None:
        if step == 3:
            for parameter in made.policy.parameters():
                parameter.data.fill_(float("nan"))

    with pytest.raises(TrainingError, match=r"rollout step 4: .*probabilities that are not numbers"):
        made.run_steps(stop, spoil)
    newest = latest_checkpoint(run.path)
    assert newest is not None
    assert newest.step == 3
    verify(newest)
    assert [row["step"] for row in run.metrics() if row["kind"] == "train"] == [1, 2, 3]
    training.train(healthy)
    assert run.checkpoints()[-1].step == 6


def test_a_learning_rate_far_too_high_is_named_as_such(training: Training) -> None:
    config = training.task.config(optimisation=_rl(learning_rate=1e30, mini_batches=1))
    with pytest.raises(TrainingError, match=r"rollout step 2: .*lower the learning rate"):
        training.train(config)


def test_the_optimizer_state_of_another_model_is_refused(training: Training) -> None:
    """A checkpoint whose manifest holds, but whose optimizer state names the general path's parameters."""
    config = training.task.config(optimisation=_rl(steps=4))
    run = training.run(config)
    made = Trainer(config, run, training.task.model, training.grader)
    general = load_policy(training.task.model, LocalBackend(fast_path="off"))
    made.step, made.optimizer = 2, Optimizer(general, made.phase, 8)
    made._save()
    with pytest.raises(
        CheckpointError, match=r"optimizer\.safetensors is the optimizer state of another model"
    ):
        training.train(config)


def test_settings_that_no_run_can_meet_are_refused_when_parsed(training: Training) -> None:
    values = training.task.config().model_dump()
    values["optimisation"]["rl"]["mini_batches"] = 7
    with pytest.raises(SettingsError, match=r"mini_batches=7 exceeds questions_per_step=6"):
        parse(RunConfig, values)


def test_a_run_of_another_backend_is_refused(training: Training) -> None:
    config = training.task.config().model_copy(update={"backend": VerlBackend()})
    with pytest.raises(SettingsError, match=r"the embedded trainer runs backend\.kind=local, not verl"):
        training.train(config)
