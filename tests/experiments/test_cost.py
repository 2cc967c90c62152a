"""What runs are said to cost: parameters against published counts, FLOPs against sums done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.compose import compose
from experiments.cost.shapes import PUBLISHED, Shape, shape_of
from experiments.cost.tokens import sizes
from experiments.cost.work import (
    CPU_CORE,
    H100,
    VERL_CPU,
    Machine,
    Work,
    base_work,
    checkpoint_bytes,
    evaluation_work,
    forward,
    generate,
    machine_of,
    score,
    training_work,
    update,
)
from prefix_rft.errors import DataError
from prefix_rft.settings import RunConfig

SMALL = Shape(hidden=2, layers=1, heads=1, key_value_heads=1, intermediate=1, vocabulary=3, tied=True, head=2)
"""Weights: 16 of projections, 6 of biases, 4 of norms, 6 of the feed-forward part; 6 of the embedding; 2 of a norm."""
CHAIN = (
    "data.min_operations=3",
    "data.max_operations=3",
    "data.train_questions=100",
    "data.validation_questions=10",
)
"""Prompts of 12 tokens, solutions of 24."""
BY_HAND = (
    *CHAIN,
    "optimisation.rl.steps=5",
    "optimisation.rl.questions_per_step=4",
    "optimisation.rl.validate_every=2",
    "evaluation.validation.samples=3",
    "method.rollouts=2",
)


def hand(*overrides: str) -> RunConfig:
    return compose([*BY_HAND, *overrides])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen/Qwen2.5-Math-7B", 7_615_616_512),
        ("Qwen/Qwen2.5-Math-1.5B", 1_543_714_304),
        ("meta-llama/Llama-3.1-8B", 8_030_261_248),
        ("Qwen/Qwen3-1.7B-Base", 1_720_574_976),
    ],
)
def test_the_papers_models_have_as_many_parameters_as_their_checkpoints(name, parameters):
    assert PUBLISHED[name].parameters == parameters


@pytest.mark.parametrize("family", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_tiny_model_is_counted_as_it_is_built(tmp_path, family, tied):
    from prefix_rft.local.initial import write_random_model
    from prefix_rft.local.policy import load_policy

    sized = ["heads=4", "key_value_heads=2", f"tie_embeddings={tied}", f"family={family}"]
    config = compose([f"model.architecture.{size}" for size in sized])
    write_random_model(tmp_path, config.model.architecture, vocabulary=11, eos_id=1, pad_id=0, seed=0)
    built = sum(weight.numel() for weight in load_policy(tmp_path, config.backend).parameters())
    assert shape_of(config).parameters == built
    given = compose(["model=pretrained", f"model.path={tmp_path}", "data=hub", "data.repository=a/b"])
    assert shape_of(given).parameters == built


def test_parameters_by_hand():
    assert (SMALL.parameters, SMALL.multiplied, SMALL.attention_width) == (6 + 32 + 2, 6 + 32, 2)
    untied = replace(SMALL, tied=False)
    assert (untied.parameters, untied.multiplied) == (6 + 6 + 32 + 2, 6 + 32)
    assert replace(SMALL, layers=3).parameters == 6 + 3 * 32 + 2


def test_a_forward_pass_by_hand():
    """Three tokens, each times 38 weights, multiply and add; they look at 1, 2 and 3 tokens, 4 FLOPs an entry of 2."""
    assert forward(SMALL, 3) == 2 * 38 * 3 + 4 * 2 * (1 + 2 + 3)


def test_the_three_kinds_of_work_by_hand():
    one = forward(SMALL, 5)
    assert generate(SMALL, 10, 2, 3) == Work(generated=30, generate_flops=10 * one)
    assert score(SMALL, 10, 5) == Work(scored=50, score_flops=10 * one)
    assert update(SMALL, 10, 5) == Work(updated=50, update_flops=3 * 10 * one)


def test_seconds_are_work_over_what_a_machine_does():
    machine = Machine("m", generate=10.0, score=100.0, update=1000.0, start_seconds=1.0)
    assert machine.seconds(Work(generate_flops=50, score_flops=50, update_flops=50)) == 5 + 0.5 + 0.05
    assert machine_of(compose()) is CPU_CORE
    assert machine_of(compose(["scale=paper"])) is H100
    assert machine_of(compose(["scale=paper", "backend=local_gpu"])) is H100
    assert machine_of(compose(["backend=verl"])) is VERL_CPU


def test_a_starting_model_is_made_on_the_cpu_whatever_trains_afterwards():
    assert machine_of(compose(["backend=verl"]), base=True) is CPU_CORE


@pytest.mark.parametrize("method", ["rft", "prefix_rft", "uft", "dr_po"])
def test_a_run_of_rollouts_by_hand(method):
    """5 steps of 4 questions and 2 rollouts; 3 looks (after steps 2, 4, 5) at 10 questions, 3 samples each."""
    work = training_work(hand(f"method={method}"))
    one = forward(shape_of(hand()), 12 + 24)
    assert (work.generated, work.scored, work.updated) == (24 * (40 + 90), 36 * 40, 36 * 40)
    assert work.flops == one * ((40 + 90) + 40 + 3 * 40)


@pytest.mark.parametrize("method", ["luffy", "rl_sft_loss"])
def test_a_demonstration_row_is_not_generated(method):
    work = training_work(hand(f"method={method}"))
    assert (work.generated, work.scored, work.updated) == (24 * (20 + 90), 36 * 40, 36 * 40)


def test_relifts_interleaved_steps_take_at_most_every_question():
    assert training_work(hand("method=relift")).updated == 36 * (40 + 20)


def test_a_run_of_sft_by_hand():
    """3 epochs of half of the questions with demonstrations are 75 sequences and, at 10 a step, 8 steps."""
    sft = ("epochs=3", "questions_per_step=10", "validate_every=3")
    overrides = [
        "method=sft",
        "evaluation.validation.samples=3",
        "data.fraction=0.5",
        "data.demonstration_coverage=0.5",
        *(f"optimisation.sft.{setting}" for setting in sft),
    ]
    work = training_work(compose([*CHAIN, *overrides]))
    assert (work.updated, work.scored, work.generated) == (36 * 75, 0, 24 * 3 * 10 * 3)


def test_an_evaluation_by_hand():
    config = hand("data.test_questions=20", "evaluation.samples=8")
    assert evaluation_work(config, "test").generated == 20 * 8 * 24
    assert evaluation_work(config, "validation").generated == 10 * 8 * 24
    few = hand("data.test_questions=20", "evaluation.samples=8", "evaluation.questions=5")
    assert (evaluation_work(few, "test").generated, evaluation_work(few, "test").kept) == (
        5 * 8 * 24,
        5 * 8 * 24,
    )


def test_a_base_model_is_schooled_with_batches_of_64():
    phases = [
        f"model.{phase}_steps={steps}"
        for phase, steps in (("single", 1), ("skill", 2), ("polish", 3), ("habit", 4))
    ]
    assert base_work(hand(*phases)).updated == 10 * 64 * 36


def test_checkpoints_on_disk_by_hand():
    parameters = shape_of(compose()).parameters
    assert checkpoint_bytes(compose(), base=True) == 4 * parameters
    assert checkpoint_bytes(compose(["backend.keep_checkpoints=2"]), base=False) == 2 * 12 * parameters
    paper = compose(["scale=paper", "backend=local_gpu", "backend.keep_checkpoints=1"])
    assert checkpoint_bytes(paper, base=False) == (2 + 4 + 8) * 7_615_616_512
    paper = compose(["scale=paper", "backend.keep_checkpoints=1"])
    assert checkpoint_bytes(paper, base=False) == (4 + 8 + 4) * 7_615_616_512


def test_a_wordy_expert_writes_longer():
    """Between 3 steps twice 1 to 4 letters, 2.5 on average, and two digits."""
    assert (
        sizes(compose([*CHAIN, "data.fillers=4", "data.max_response_tokens=64"]).data).response
        == 24 + 2 * 4.5
    )


def test_lines_of_a_file_are_its_questions(tmp_path):
    file, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    file.write_text("{}\n" * 50 + "\n")
    test.write_text("{}\n" * 7)
    overrides = ["scale=trial", f"data.path={file}", f"data.test_path={test}", "data.limit=40"]
    found = sizes(compose([*overrides, "data.validation_questions=8", "data.max_prompt_tokens=100"]).data)
    assert (found.train, found.validation, found.test) == (40 - 8, 8, 7)
    assert found.prompt == pytest.approx(15)
    with pytest.raises(DataError, match="there is no file"):
        sizes(compose(["scale=trial", "data.path=nowhere.jsonl"]).data)


def test_what_nobody_knows_has_no_cost():
    unknown_model = compose(["scale=paper", "model=pretrained", "model.path=somebody/else"])
    assert (training_work(unknown_model), checkpoint_bytes(unknown_model, base=False)) == (None, None)
    assert training_work(compose(["scale=paper", "data=hub", "data.repository=some/data"])) is None
