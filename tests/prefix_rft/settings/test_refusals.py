"""Unknown keys are refused everywhere, with the nearest known one; contradictions with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from prefix_rft.errors import SettingsError
from prefix_rft.settings import RunConfig, parse

Values = dict[str, Any]
CHAIN: Values = {"method": {"name": "prefix_rft"}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
FILES: Values = {
    "method": {"name": "prefix_rft"},
    "model": {"kind": "pretrained", "path": "m"},
    "data": {"kind": "jsonl", "path": "q.jsonl"},
}


def merged(base: Values, changes: Values) -> Values:
    """`changes` over `base`, group by group."""
    both = {
        key: merged(base[key], value)
        if isinstance(value, dict) and isinstance(base.get(key), dict)
        else value
        for key, value in changes.items()
    }
    return base | both


def nested(path: str, value: Any) -> Values:
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


def refusal(base: Values, changes: Values) -> str:
    with pytest.raises(SettingsError) as refused:
        parse(RunConfig, merged(base, changes))
    head, *reasons = str(refused.value).splitlines()
    assert head == "the configuration is refused:"
    return "\n".join(reason.strip() for reason in reasons)


UNKNOWN = [
    ("sed", "seed"),
    ("method.rolouts", "method.rollouts"),
    ("method.schedule.strat", "method.schedule.start"),
    ("method.clipping.keeep", "method.clipping.keep"),
    ("model.base_sed", "model.base_seed"),
    ("model.architecture.layer", "model.architecture.layers"),
    ("data.fractoin", "data.fraction"),
    ("data.grading.verifyer", "data.grading.verifier"),
    ("optimisation.rl.step", "optimisation.rl.steps"),
    ("optimisation.sft.epoch", "optimisation.sft.epochs"),
    ("backend.devise", "backend.device"),
    ("evaluation.sample", "evaluation.samples"),
    ("evaluation.validation.tempreature", "evaluation.validation.temperature"),
    ("tracking.tag", "tracking.tags"),
    ("launcher.worker", "launcher.workers"),
]


@pytest.mark.parametrize(("typo", "meant"), UNKNOWN)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(typo, meant):
    assert refusal(CHAIN, nested(typo, 1)) == f"{typo}: there is no such setting; did you mean {meant!r}?"


def test_every_group_stands_in_the_list_above():
    groups = {typo.partition(".")[0] for typo, _ in UNKNOWN if "." in typo}
    assert groups == set(RunConfig.model_fields) - {"seed", "scale", "sweep", "store"}


def test_all_mistakes_are_named_at_once():
    assert refusal(CHAIN, {"sed": 1, "seed": -1}).splitlines() == [
        "seed: Input should be greater than or equal to 0 (given: -1)",
        "sed: there is no such setting; did you mean 'seed'?",
    ]


def test_a_setting_of_another_kind_is_said_to_be_one():
    assert refusal(CHAIN, {"method": {"name": "sft", "rollouts": 4}}) == (
        "method.rollouts: the chosen method has no such setting; another method has"
    )


CONTRADICTIONS: list[tuple[Values, Values, str]] = [
    (CHAIN, nested("method.hybrid_rollouts", 9), "method: hybrid_rollouts=9 exceeds rollouts=8"),
    (CHAIN, nested("method.hybrid_rollouts", 8), "method: baseline='reference' needs an ordinary rollout"),
    (CHAIN, nested("method.min_prefix_tokens", 32), "method.min_prefix_tokens=32 leaves nothing to write"),
    (CHAIN, nested("method.schedule", {"kind": "cosine", "end": 0.95}), "end=0.95 must be below start=0.95"),
    (
        CHAIN,
        nested("method.schedule", {"kind": "linear", "high": 0.5}),
        "start=0.95 must not exceed high=0.5",
    ),
    (
        CHAIN,
        nested("method.schedule", {"kind": "uniform", "low": 0.96}),
        "low=0.96 must not exceed high=0.95",
    ),
    (CHAIN, nested("data.min_operations", 5), "min_operations=5 exceeds max_operations=4"),
    (
        CHAIN,
        nested("data.max_operations", 5),
        "max_operations=5 with fillers=0 needs max_prompt_tokens >= 18 (is 16)",
    ),
    (CHAIN, nested("data.train_questions", 10**7), "different questions are asked for, but modulus=4"),
    (CHAIN, nested("data.grading.extract", []), "extract names no rule"),
    (CHAIN, nested("data.grading", {"extract": ["after_marker"], "marker": ""}), "but marker is empty"),
    (CHAIN, nested("evaluation.pass_at", [33]), "pass_at=[33] needs 1 <= k <= samples=32"),
    (CHAIN, nested("evaluation.protocol", "a/b"), "evaluation.protocol: String should match pattern"),
    (CHAIN, nested("model.architecture.hidden_size", 66), "hidden_size=66 must be a multiple of heads=4"),
    (CHAIN, nested("model.architecture.key_value_heads", 3), "heads a multiple of key_value_heads=3"),
    (CHAIN, nested("model.architecture.hidden_size", 12), "rotary embeddings need an even head dimension"),
    (
        CHAIN,
        nested("model.architecture.max_positions", 40),
        "= 48 exceeds model.architecture.max_positions=40",
    ),
    (
        CHAIN,
        nested("optimisation.rl", {"mini_batches": 9, "questions_per_step": 8}),
        "mini_batches=9 exceeds",
    ),
    (CHAIN, nested("optimisation.rl.entropy_coefficient", 0.001), "drops rows that the entropy bonus"),
    (CHAIN, {"data": {"kind": "jsonl", "path": "q"}}, "model.kind=tiny speaks only the embedded task"),
    (CHAIN, {"model": {"kind": "scratch"}}, "model.kind=scratch builds its tokenizer from files"),
    (FILES, {"model": {"kind": "scratch"}}, "= 9216 exceeds model.architecture.max_positions=2048"),
]


@pytest.mark.parametrize(
    ("base", "changes", "reason"), CONTRADICTIONS, ids=[item[2] for item in CONTRADICTIONS]
)
def test_a_contradiction_is_refused_with_its_reason(base, changes, reason):
    parse(RunConfig, base)
    other_kinds = [key for key, value in changes.items() if isinstance(value, dict) and "kind" in value]
    assert reason in refusal({key: value for key, value in base.items() if key not in other_kinds}, changes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(value):
    assert "finite" in refusal(CHAIN, nested("optimisation.rl.learning_rate", value))


def test_what_is_on_the_edge_is_accepted():
    for path, value in (
        ("method", {"name": "prefix_rft", "hybrid_rollouts": 8, "baseline": "group"}),
        ("method.clipping.keep", 0.0),
        ("method.min_prefix_tokens", 31),
        ("data.max_prompt_tokens", 15),
        ("optimisation.rl", {"mini_batches": 8, "questions_per_step": 8}),
        ("evaluation.pass_at", [32]),
        ("model.architecture.max_positions", 48),
    ):
        parse(RunConfig, merged(CHAIN, nested(path, value)))
    free = nested("optimisation.rl.entropy_coefficient", 0.001) | nested(
        "backend.skip_zero_weight_rows", False
    )
    parse(RunConfig, merged(CHAIN, free))


def test_a_group_is_of_its_default_kind_where_none_is_named():
    named, unnamed = ({"kind": "cosine", "start": 0.8}, {"start": 0.8})
    parsed = [parse(RunConfig, merged(CHAIN, nested("method.schedule", given))) for given in (named, unnamed)]
    assert parsed[0] == parsed[1]


def test_a_group_without_a_default_kind_needs_one_that_exists():
    assert refusal({**CHAIN, "model": {}}, {}) == "model: model.kind must say which kind it is"
    assert refusal(CHAIN, nested("method.name", "stf")) == (
        "method: unknown name 'stf'. Did you mean 'sft'? "
        "Known: dr_po, luffy, prefix_rft, relift, rft, rl_sft_loss, sft, sft_rft, uft."
    )


def test_settings_are_values():
    """Equal where they say the same, and not to be changed."""
    one, other = parse(RunConfig, CHAIN), parse(RunConfig, CHAIN)
    assert one == other
    assert hash(one) == hash(other)
    with pytest.raises(ValueError, match="frozen"):
        one.seed = 1
