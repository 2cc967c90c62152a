"""Every setting of ours reaches verl, is carried out by code of ours, or is refused; none is lost."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from prefix_rft.errors import SettingsError
from prefix_rft.settings import PretrainedModel, RlPhase, RunConfig, SftPhase, VerlBackend, parse
from prefix_rft.settings.verl import LIMITS
from prefix_rft.verl_backend.translation import AGGREGATIONS, SUITE, Files, Row, rows

OTHER = {
    "decay": {"constant": "cosine", "cosine": "constant"},
    "aggregation": {"constant": "token_mean", "token_mean": "constant"},
    "device": {"cuda": "cpu"},
    "dtype": {"bfloat16": "float32"},
    "attention": {"flash_attention_2": "sdpa"},
    "ray_address": {"local": "auto"},
}
NOT_VERLS = {"kind", "verl", "generation_batch", "ray_cpus"}
"""Backend settings that no key of verl's carries: our choice of verl, its own keys, evaluation, Ray (below)."""

OURS = {"entropy_of"}
"""Settings of reinforcement learning that our trainer carries out between verl's calls (test_current_entropy.py)."""


def rows_of(config: RunConfig, files: Files) -> dict[str, Row]:
    imitates = config.method.name == "sft"
    total = 6 * config.optimisation.sft.epochs if imitates else config.optimisation.rl.steps
    found = rows(config, files, "0123456789ab", total)
    assert len({row.key for row in found}) == len(found), "a key stands twice"
    return {row.key: row for row in found}


def other(field: str, value: Any) -> Any:
    """Another value of the same type."""
    if field in OTHER:
        return OTHER[field][value]
    match value:
        case bool():
            return not value
        case int():
            return value * 2 or 1
        case float():
            return value * 0.5 or 0.25
        case str():
            return f"{value}x"
    return "some.module"


def changed(config: RunConfig, files: Files, group: tuple[str, ...], field: str) -> list[Row]:
    """The rows that another value of one setting changes."""
    before, after = rows_of(config, files), rows_of(_flip(config, (*group, field)), files)
    keys = before.keys() | after.keys()
    return [
        (after.get(key) or before[key])
        for key in sorted(keys)
        if (before.get(key) and before[key].value) != (after.get(key) and after[key].value)
    ]


def _flip(settings: Any, path: tuple[str, ...]) -> Any:
    name, *below = path
    value = getattr(settings, name)
    return settings.model_copy(update={name: _flip(value, tuple(below)) if below else other(name, value)})


def fields(group: type[BaseModel]) -> list[str]:
    return list(group.model_fields)


@pytest.mark.parametrize("field", [name for name in fields(RlPhase) if name not in LIMITS.keys() | OURS])
def test_no_setting_of_reinforcement_learning_is_ignored(verl_run, files, field):
    moved = changed(verl_run(), files, ("optimisation", "rl"), field)
    assert moved
    assert all(f"optimisation.rl.{field}" in (row.decided_by or "").split(", ") for row in moved)


@pytest.mark.parametrize("field", fields(SftPhase))
def test_no_setting_of_imitation_is_ignored(verl_run, files, field):
    moved = changed(verl_run("sft"), files, ("optimisation", "sft"), field)
    assert moved
    assert all(f"optimisation.sft.{field}" in (row.decided_by or "").split(", ") for row in moved)


@pytest.mark.parametrize("field", [name for name in fields(VerlBackend) if name not in NOT_VERLS])
def test_no_setting_of_the_backend_is_ignored(verl_run, files, field):
    moved = changed(verl_run(), files, ("backend",), field)
    decided = [row for row in moved if row.decided_by]
    assert decided
    assert any(f"backend.{field}" in str(row.decided_by).split(", ") for row in decided)


def test_cpu_slots_are_those_of_a_cluster_of_our_own(verl_run, files):
    own = rows_of(verl_run(backend={"ray_cpus": 16}), files)
    joined = rows_of(verl_run(backend={"ray_address": "auto"}), files)
    assert own["ray_kwargs.ray_init.num_cpus"].value == 16
    assert "ray_kwargs.ray_init.num_cpus" not in joined


def test_what_verl_cannot_do_is_refused_with_what_to_set(verl_run):
    with pytest.raises(SettingsError, match=r"optimisation\.rl\.gradient_norms_every=5: .*set 0"):
        verl_run(rl={"gradient_norms_every": 5})


def test_limits_of_a_phase_that_is_not_passed_through_do_not_hold(verl_run):
    assert verl_run("sft", rl={"gradient_norms_every": 5}).optimisation.rl.gradient_norms_every == 5
    with pytest.raises(SettingsError, match=r"optimisation\.rl\.gradient_norms_every=5"):
        verl_run("sft_rft", rl={"gradient_norms_every": 5})


def test_every_limit_names_a_setting():
    assert set(fields(RlPhase)) >= LIMITS.keys() | OURS


def test_a_micro_batch_holds_a_whole_sequence(verl_run):
    with pytest.raises(SettingsError, match=r"micro_batch_tokens=47 must hold one whole sequence: .* = 48"):
        verl_run(backend={"micro_batch_tokens": 47})


def test_the_papers_numbers_in_verls_words(verl_run, files):
    rl = {"steps": 500, "mini_batches": 2, "questions_per_step": 128, "checkpoint_every": 50}
    found = {
        key: row.value
        for key, row in rows_of(verl_run(rl={**rl, "entropy_coefficient": 0.001}), files).items()
    }
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    assert found["data.train_batch_size"] == 128
    assert found[f"{rollout}.n"] == 8
    assert found[f"{actor}.ppo_mini_batch_size"] == 64
    assert found[f"{actor}.optim.lr"] == 1e-6
    assert found[f"{actor}.optim.override_optimizer_config"]["updates"] == 1000
    assert (found[f"{actor}.loss_agg_mode"], found[f"{actor}.loss_scale_factor"]) == (
        "seq-mean-token-sum-norm",
        32,
    )
    assert (found[f"{actor}.clip_ratio_low"], found[f"{actor}.clip_ratio_high"]) == (0.2, 0.2)
    assert found[f"{actor}.entropy_coeff"] == 0.001
    assert (found["trainer.save_freq"], found["trainer.test_freq"]) == (50, 500)


@pytest.mark.parametrize(("every", "frequency"), [(0, 60), (7, 7)])
def test_never_means_only_at_the_end(verl_run, files, every, frequency):
    found = rows_of(verl_run(rl={"steps": 60, "checkpoint_every": every, "validate_every": every}), files)
    assert found["trainer.save_freq"].value == found["trainer.test_freq"].value == frequency


@pytest.mark.parametrize(("temperature", "samples"), [(0.0, False), (0.6, True)])
def test_temperature_zero_is_greedy(verl_run, files, temperature, samples):
    look = {"validation": {"temperature": temperature, "samples": 3}}
    found = rows_of(verl_run(evaluation=look), files)
    at = "actor_rollout_ref.rollout.val_kwargs"
    assert (found[f"{at}.do_sample"].value, found[f"{at}.n"].value) == (samples, 3)


def test_without_validation_questions_there_is_no_look(verl_run, files):
    files = Files(files.model, files.train, None, files.agent_loop, files.checkpoints)
    assert rows_of(verl_run(), files)["trainer.test_freq"].value == -1


def test_every_aggregation_has_a_name():
    assert AGGREGATIONS.keys() == {"constant", "token_mean", "seq_mean_token_mean", "seq_mean_token_sum"}


def test_a_row_is_decided_by_settings_that_there_are(verl_run, files):
    config = verl_run()
    for row in rows_of(config, files).values():
        for name in (row.decided_by or SUITE).split(", "):
            if name != SUITE:
                _follow(config, name)


def _follow(config: RunConfig, name: str) -> None:
    group, *below = name.split(".")
    found: Any = PretrainedModel(path="a/b") if group == "model" else getattr(config, group)
    for part in below:
        found = getattr(found, part)


def test_another_backend_is_named(files):
    local = parse(
        RunConfig, {"method": {"name": "rft"}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
    )
    with pytest.raises(SettingsError, match=r"backend\.kind=local is not verl"):
        rows(local, files, "0123456789ab", 1)
