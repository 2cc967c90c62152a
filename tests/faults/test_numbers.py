"""A number that is not finite in a real run: found before the weights see it, saved, refused or left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from prefix_rft.errors import SettingsError, TrainingError
from prefix_rft.local import rollouts, trainer
from prefix_rft.local.optimizer import Optimizer
from prefix_rft.local.scoring import Scorer
from prefix_rft.local.update import _Update
from prefix_rft.runs.checkpoint import list_checkpoints, verify
from prefix_rft.runs.identity import train_identity
from prefix_rft.runs.state import StateWriter
from prefix_rft.settings import RunConfig, parse

MakeJob = Callable[..., Any]
NAN = float("nan")
QUANTITIES = ("reward", "log-probabilities", "loss", "gradient")


def optimisation(on_nonfinite: str = "stop", **changes: Any) -> dict[str, Any]:
    common = {"mini_batches": 2, "questions_per_step": 6, "learning_rate": 1e-2, "checkpoint_every": 1}
    return {"rl": {"steps": 6, **common, **changes}, "on_nonfinite": on_nonfinite}


@dataclass
class Fault:
    """NaN in one quantity, at some rollout steps (from 1) and their mini-batches (from 1)."""

    quantity: str = "gradient"
    at: Sequence[tuple[int, int]] = ()
    now: tuple[int, int] = (0, 0)
    """Rollout step and mini-batch of the update."""
    step: int = 0
    """Rollout step of the responses."""
    moved: list[tuple[int, int]] = field(default_factory=list)
    """Where an optimizer step was taken."""

    @property
    def strikes(self) -> bool:
        return self.now in self.at

    def backward(
        self, update: Any, real: Callable[..., float], rows: Tensor, *rest: Any, first: bool
    ) -> float:
        self.now = (update.at.step + 1, 1 if first else 2)
        if self.strikes and self.quantity == "loss":
            update.scale_BT[rows] = NAN
        return real(update, rows, *rest, first=first)

    def forward(self, found: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
        logp_BT, entropy_BT = found
        if self.strikes and logp_BT.requires_grad:
            if self.quantity == "log-probabilities":
                return logp_BT * NAN, entropy_BT
            if self.quantity == "gradient":
                logp_BT.register_hook(lambda gradient: gradient * NAN)  # type: ignore[no-untyped-call]
        return found

    def graded(self, found: tuple[list[float], dict[str, int]]) -> tuple[list[float], dict[str, int]]:
        if self.quantity == "reward" and self.step in [step for step, _ in self.at]:
            found[0][1] = NAN
        return found


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    """None until a test says which."""
    fault = Fault()
    backward, forward, step = _Update._backward, Scorer.forward, Optimizer.step
    grade, make = rollouts._grade, rollouts.make_responses

    def stepped(optimizer: Optimizer) -> float:
        before = [weight.master.clone() for weight in optimizer._weights]
        norm = step(optimizer)
        if not all(map(torch.equal, before, (weight.master for weight in optimizer._weights))):
            fault.moved.append(fault.now)
        assert all(bool(weight.master.isfinite().all()) for weight in optimizer._weights)
        return norm

    def responses(policy: Any, method: Any, questions: Any, at: Any, **rest: Any) -> Any:
        fault.step = at.step + 1
        return make(policy, method, questions, at, **rest)

    monkeypatch.setattr(_Update, "_backward", lambda self, *a, **k: fault.backward(self, backward, *a, **k))
    monkeypatch.setattr(Scorer, "forward", lambda self, *a, **k: fault.forward(forward(self, *a, **k)))
    monkeypatch.setattr(Optimizer, "step", stepped)
    monkeypatch.setattr(rollouts, "_grade", lambda *a: fault.graded(grade(*a)))
    monkeypatch.setattr(trainer, "make_responses", responses)
    return fault


def stopped(job: Any) -> str:
    with pytest.raises(TrainingError) as caught:
        job.finish_here()
    return str(caught.value)


def leave(job: Any, after: int) -> None:
    class Leaving(StateWriter):
        def progress(self, step: int, total_steps: int | None = None) -> None:
            if step == after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        job.finish_here(Leaving(job.run.path))


def train_rows(job: Any) -> list[dict[str, Any]]:
    return [row for row in job.run.metrics() if row["kind"] == "train"]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_it_stops_before_the_weights_see_it_and_goes_on_to_the_same_bits(
    make_job: MakeJob, fault: Fault, tmp_path: Path, quantity: str
) -> None:
    straight = make_job(store=tmp_path / "straight", optimisation=optimisation())
    straight.finish_here()
    job = make_job(optimisation=optimisation())
    fault.quantity, fault.at, fault.moved = quantity, [(4, 2)], []
    said = stopped(job)
    where = "rollout step 4" if quantity == "reward" else "rollout step 4, mini-batch 2"
    name = "step_4" if quantity == "reward" else "step_4_mini-batch_2"
    file = job.run.path / "nonfinite" / f"{name}.safetensors"
    assert said.startswith(f"{where}: {quantity} not finite")
    assert f"The batch is in {file}" in said
    assert "with optimisation.on_nonfinite=skip the same command goes on from there" in said
    assert (4, 2) not in fault.moved
    assert [checkpoint.step for checkpoint in list_checkpoints(job.run.path)] == [2, 3]
    for checkpoint in list_checkpoints(job.run.path):
        verify(checkpoint)
    assert [row["step"] for row in train_rows(job)] == [1, 2, 3]
    fault.at = ()
    job.finish_here()
    assert job.result() == straight.result()


def test_the_saved_batch_says_what_it_is(make_job: MakeJob, fault: Fault) -> None:
    job = make_job(optimisation=optimisation())
    fault.quantity, fault.at = "log-probabilities", [(4, 2)]
    stopped(job)
    file = job.run.path / "nonfinite" / "step_4_mini-batch_2.safetensors"
    tensors, facts = load_file(file), json.loads(file.with_suffix(".json").read_text())
    assert (facts["rollout_step"], facts["part"], facts["of"]) == (4, 2, "mini-batch")
    assert facts["quantity"] == "log-probabilities"
    assert facts["rows"] == len(facts["question_ids"]) == 12  # 3 questions, 4 rollouts each
    assert len(set(facts["question_ids"])) == 3
    assert {name: list(values.shape) for name, values in tensors.items()} == facts["tensors"]
    assert tensors["ids"].shape[0] == 12
    assert bool(tensors["logp"].isnan().any())
    assert bool(tensors["reward"].isfinite().all())


def test_a_gradient_names_its_parameters(make_job: MakeJob, fault: Fault) -> None:
    job = make_job(optimisation=optimisation())
    fault.at = [(1, 1)]
    assert "gradient not finite (loss " in stopped(job)
    facts = json.loads((job.run.path / "nonfinite" / "step_1_mini-batch_1.json").read_text())
    assert (facts["norm"], facts["learning_rate"]) == ("nan", 1e-2)
    assert len(facts["parameters"]) == 5


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_step_is_left_out_and_counted(make_job: MakeJob, fault: Fault, quantity: str) -> None:
    job = make_job(optimisation=optimisation("skip"))
    fault.quantity, fault.at = quantity, [(3, 2)]
    job.finish_here()
    skipped = {row["step"]: row["skipped_nonfinite"] for row in train_rows(job) if "skipped_nonfinite" in row}
    assert skipped == ({3: 2.0} if quantity == "reward" else {3: 1.0})
    assert (3, 2) not in fault.moved
    assert job.run.checkpoints()[-1].step == 6
    row = train_rows(job)[2]
    assert ("loss" in row) == (quantity != "reward")
    assert ("reward" in row) == (quantity != "reward")
    assert len(list((job.run.path / "nonfinite").glob("*.safetensors"))) == 1


def test_a_run_that_stopped_goes_on_with_skip_under_its_own_name_to_the_same_bits(
    make_job: MakeJob, fault: Fault, tmp_path: Path
) -> None:
    fault.at = [(4, 1)]
    straight = make_job(store=tmp_path / "straight", optimisation=optimisation("skip"))
    straight.finish_here()
    job = make_job(optimisation=optimisation("stop"))
    stopped(job)
    again = make_job(optimisation=optimisation("skip"))
    assert again.run.id == job.run.id
    again.finish_here()
    assert again.result() == straight.result()
    assert "optimisation.on_nonfinite" in str(job.run.events())


def test_skipping_changes_no_bit_where_nothing_is_skipped(make_job: MakeJob, tmp_path: Path) -> None:
    jobs = [
        make_job(store=tmp_path / setting, optimisation=optimisation(setting)) for setting in ("stop", "skip")
    ]
    for job in jobs:
        job.finish_here()
    assert jobs[0].result() == jobs[1].result()


def test_three_in_a_row_stop_the_run_also_when_it_was_interrupted_between_them(
    make_job: MakeJob, fault: Fault
) -> None:
    """The count is in the checkpoint: two are left out, the run is stopped and resumed, the next is the third."""
    job = make_job(optimisation=optimisation("skip"))
    fault.at = [(step, part) for step in (3, 4, 5, 6) for part in (1, 2)]
    leave(job, after=3)
    said = stopped(job)
    assert said.startswith("rollout step 4, mini-batch 1: gradient not finite")
    assert "It is the 3rd in a row" in said
    assert [row.get("skipped_nonfinite") for row in train_rows(job)] == [None, None, 2.0]


def test_an_interrupted_run_with_left_out_steps_ends_with_the_same_bits(
    make_job: MakeJob, fault: Fault, tmp_path: Path
) -> None:
    fault.at = [(2, 2), (3, 1), (5, 2)]
    straight = make_job(store=tmp_path / "straight", optimisation=optimisation("skip", decay="cosine"))
    straight.finish_here()
    job = make_job(optimisation=optimisation("skip", decay="cosine"))
    for step in (2, 4):
        leave(job, after=step)
    job.finish_here()
    assert job.result() == straight.result()


def test_interleaved_steps_are_guarded_too(make_job: MakeJob) -> None:
    job = make_job("relift", optimisation=optimisation("skip"), of_method={"buffer": 2})
    real = _Update._backward

    def backward(self: Any, rows: Tensor, *rest: Any, first: bool) -> float:
        if self.rule.mini_batches == 1:  # the SFT steps'
            self.scale_BT[rows] = NAN
        return real(self, rows, *rest, first=first)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_Update, "_backward", backward)
        said = stopped(job)
    assert "SFT step 1: loss not finite (loss nan" in said
    assert "lower method.learning_rate" in said
    assert any(
        "imitation_skipped_nonfinite" in row and "imitation_loss" not in row for row in train_rows(job)
    )


def test_a_model_that_cannot_be_sampled_stops_whatever_is_set(make_job: MakeJob) -> None:
    job = make_job(optimisation=optimisation("skip"))
    real = Optimizer.step

    def spoil(optimizer: Optimizer) -> float:
        norm = real(optimizer)
        if optimizer.updates_done == 8:
            for weight in optimizer._weights:
                weight.parameter.data.fill_(NAN)
        return norm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimizer, "step", spoil)
        said = stopped(job)
    assert said.startswith("rollout step 4: ")
    assert "no checkpoint is written" in said
    assert [checkpoint.step for checkpoint in list_checkpoints(job.run.path)] == [2, 3]
    job.finish_here()
    assert job.run.checkpoints()[-1].step == 6


def test_verl_refuses_what_its_workers_cannot_do(make_job: MakeJob) -> None:
    config: RunConfig = make_job(optimisation=optimisation()).request.config
    values = config.model_dump()
    values["backend"] = {"kind": "verl"}
    values["optimisation"]["rl"]["gradient_norms_every"] = 0
    stop = parse(RunConfig, values)
    values["optimisation"]["on_nonfinite"] = "skip"
    with pytest.raises(SettingsError, match=r"on_nonfinite=skip: .*set stop"):
        parse(RunConfig, values)
    skip = replace_setting(config, "skip")
    assert train_identity(skip) == train_identity(config)
    assert stop.optimisation.on_nonfinite == "stop"


def replace_setting(config: RunConfig, value: str) -> RunConfig:
    changed = config.optimisation.model_copy(update={"on_nonfinite": value})
    return config.model_copy(update={"optimisation": changed})
