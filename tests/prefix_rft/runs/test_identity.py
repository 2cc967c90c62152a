"""Which settings name a run: every leaf of the configuration stands in the table below."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from prefix_rft.errors import DataError
from prefix_rft.runs.identity import (
    base_identity,
    benchmark_folder,
    chain,
    evaluation_digest,
    evaluation_folder,
    identity_digest,
    predecessor,
    train_identity,
)
from prefix_rft.settings import RunConfig, parse

# What each field changes: the name of the base run, of the training run, of an evaluation, or nothing.
# A new field fails the test until it stands here: decide by the rule in prefix_rft/runs/identity.py.
COUNTS: dict[tuple[str, str], str] = {
    ("backend", "base train"): "kind device dtype fast_path",
    ("backend", "-"): (
        "micro_batch_tokens generation_batch logits_budget skip_zero_weight_rows keep_checkpoints sample_rollouts"
    ),
    # A starting model of our own is made by the embedded trainer, also for verl. What verl's own settings change is
    # not known here, so all of them count.
    ("backend[verl]", "train"): "kind device dtype engine plugin verl",
    ("backend[verl]", "-"): (
        "nodes devices_per_node tensor_parallel gpu_memory_utilization micro_batch_tokens attention "
        "gradient_checkpointing offload agent_workers ray_address ray_cpus generation_batch keep_checkpoints"
    ),
    ("evaluation", "-"): "protocol splits",
    ("evaluation", "evaluation"): "samples temperature top_p seed pass_at questions",
    ("evaluation.benchmarks", "-"): "names folder",
    ("evaluation.benchmarks", "benchmarks"): "protocol allow_changed_data samples max_tokens problems engine",
    ("evaluation.validation", "train"): "samples temperature questions",
    ("launcher", "-"): "workers threads",
    ("optimisation.sft", "train"): (
        "learning_rate decay final_share warmup_fraction weight_decay beta1 beta2 max_grad_norm "
        "questions_per_step validate_every epochs aggregation"
    ),
    ("optimisation.sft", "-"): "checkpoint_every",
    ("optimisation.rl", "train"): (
        "learning_rate decay final_share warmup_fraction weight_decay beta1 beta2 max_grad_norm "
        "questions_per_step validate_every steps mini_batches temperature aggregation clip_low clip_high "
        "dual_clip entropy_coefficient entropy_of gradient_norms_every"
    ),
    ("optimisation.rl", "-"): "checkpoint_every",
    ("optimisation", "-"): "on_nonfinite",
    ("", "-"): "scale store sweep",
    ("", "train"): "seed",
    ("tracking", "-"): "wandb project entity tags sample_rows",
    ("method[sft]", "train"): "name",
    ("method[rft]", "train"): "rollouts divide_by_std name",
    ("method[rft].clipping", "train"): "keep select",
    ("method[sft_rft]", "train"): "rollouts divide_by_std name",
    ("method[rl_sft_loss]", "train"): "rollouts divide_by_std name coefficient",
    ("method[uft]", "train"): ("rollouts divide_by_std name parts hint start end decay_fraction coefficient"),
    ("method[luffy]", "train"): "rollouts divide_by_std name shaping clip_explored",
    ("method[relift]", "train"): "rollouts divide_by_std name buffer learning_rate max_grad_norm",
    ("method[dr_po]", "train"): "rollouts divide_by_std name min_prefix_tokens",
    ("method[dr_po].schedule", "train"): (
        "high beta_a beta_b start end decay_fraction warmup_fraction delay_steps kind"
    ),
    ("method[prefix_rft]", "train"): (
        "rollouts divide_by_std name hybrid_rollouts baseline min_prefix_tokens clip_prefix static_weight"
    ),
    ("method[prefix_rft].schedule", "train"): (
        "high beta_a beta_b start end decay_fraction warmup_fraction delay_steps kind"
    ),
    ("method[prefix_rft].clipping", "train"): "keep select",
    ("schedule[linear]", "train"): (
        "high beta_a beta_b start end decay_fraction warmup_fraction delay_steps kind"
    ),
    ("schedule[uniform]", "train"): "high beta_a beta_b kind low",
    ("schedule[constant]", "train"): "kind share",
    ("model[tiny]", "base train"): (
        "kind base_seed attempts single_steps skill_steps skill_stepwise polish_steps polish_wordy "
        "habit_steps habit_stepwise habit_guessed"
    ),
    ("model[tiny].architecture", "base train"): (
        "family hidden_size layers heads key_value_heads intermediate_size max_positions rope_theta tie_embeddings"
    ),
    ("model[scratch]", "base train"): "kind base_seed vocabulary",
    ("model[scratch].architecture", "base train"): (
        "family hidden_size layers heads key_value_heads intermediate_size max_positions rope_theta tie_embeddings"
    ),
    ("model[pretrained]", "train"): "kind path revision template",
    ("model[pretrained]", "-"): "source trust_remote_code",
    (
        "data[chain].grading",
        "train evaluation",
    ): "extract marker think verifier scientific timeout_seconds memory_mb",
    ("data[chain].grading", "-"): "workers",
    ("data[chain]", "base train"): (
        "max_prompt_tokens max_response_tokens kind modulus min_operations max_operations "
        "train_questions validation_questions test_questions seed fillers filler_kinds"
    ),
    ("data[chain]", "train"): "fraction demonstration_coverage subset_seed teacher slip_rate",
    ("data[chain]", "-"): "skip_bad_rows",
    (
        "data[jsonl].grading",
        "train evaluation",
    ): "extract marker think verifier scientific timeout_seconds memory_mb",
    ("data[jsonl].grading", "-"): "workers",
    ("data[jsonl]", "base train"): (
        "max_prompt_tokens max_response_tokens fraction demonstration_coverage subset_seed system_prompt "
        "drop_system_prompt question_suffix validation_questions test_questions limit kind path "
        "validation_path test_path"
    ),
    ("data[jsonl]", "-"): "skip_bad_rows",
    ("data[jsonl].columns", "base train"): "id question answer demonstration correctness",
    (
        "data[parquet].grading",
        "train evaluation",
    ): "extract marker think verifier scientific timeout_seconds memory_mb",
    ("data[parquet].grading", "-"): "workers",
    ("data[parquet]", "base train"): (
        "max_prompt_tokens max_response_tokens fraction demonstration_coverage subset_seed system_prompt "
        "drop_system_prompt question_suffix validation_questions test_questions limit kind path "
        "validation_path test_path ids"
    ),
    ("data[parquet]", "-"): "skip_bad_rows",
    (
        "data[hub].grading",
        "train evaluation",
    ): "extract marker think verifier scientific timeout_seconds memory_mb",
    ("data[hub].grading", "-"): "workers",
    ("data[hub]", "base train"): (
        "max_prompt_tokens max_response_tokens fraction demonstration_coverage subset_seed system_prompt "
        "drop_system_prompt question_suffix validation_questions test_questions limit kind repository "
        "revision split validation_split test_split layout ids"
    ),
    ("data[hub]", "-"): "skip_bad_rows",
    ("data[hub].columns", "base train"): "id question answer demonstration correctness",
}

Places = dict[str, tuple[tuple[str, ...], RunConfig]]


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Every group of settings and every alternative of it: where it is, and a configuration that has it."""
    files = _files(tmp_path, "path", "validation_path", "test_path")
    for folder, text in (("model", "a"), ("modelx", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(text)
    scratch, lengths = {"kind": "scratch"}, {"max_prompt_tokens": 64, "max_response_tokens": 64}
    jsonl = _config(model=scratch, data={"kind": "jsonl", **files, **lengths})
    sft_rft = _config({"name": "sft_rft"})
    return {
        **{
            name: ((name,), sft_rft)
            for name in sorted(set(RunConfig.model_fields) - {"method", "model", "data"})
        },
        **{f"method[{name}]": (("method",), _config({"name": name})) for name in METHODS},
        **{f"schedule[{kind}]": (("method", "schedule"), _scheduled(kind)) for kind in SCHEDULES},
        "backend[verl]": (("backend",), _config(**_on_verl())),
        "model[tiny]": (("model",), _config()),
        "model[scratch]": (("model",), jsonl),
        "model[pretrained]": (
            ("model",),
            _config(model={"kind": "pretrained", "path": str(tmp_path / "model")}),
        ),
        "data[chain]": (("data",), _config()),
        "data[jsonl]": (("data",), jsonl),
        "data[parquet]": (("data",), _config(model=scratch, data={"kind": "parquet", **files, **lengths})),
        "data[hub]": (
            ("data",),
            _config(model=scratch, data={"kind": "hub", "repository": "a/b", **lengths}),
        ),
    }


METHODS = ("sft", "rft", "sft_rft", "rl_sft_loss", "uft", "luffy", "relift", "dr_po", "prefix_rft")
SCHEDULES = ("linear", "uniform", "constant")


def _files(folder: Path, *names: str) -> dict[str, str]:
    """Files of different content, each with another one beside it whose name ends in x."""
    for name in names:
        (folder / name).write_text(f"{name} one")
        (folder / f"{name}x").write_text(f"{name} two")
    return {name: str(folder / name) for name in names}


def _scheduled(kind: str) -> RunConfig:
    return _config({"name": "prefix_rft", "schedule": {"kind": kind}})


def _on_verl(**backend: Any) -> dict[str, Any]:
    return {"backend": {"kind": "verl", **backend}, "optimisation": {"rl": {"gradient_norms_every": 0}}}


def _config(method: dict[str, Any] | None = None, **sections: Any) -> RunConfig:
    values = {"method": method or {"name": "rft"}, "model": {"kind": "tiny"}, "data": {"kind": "chain"}}
    return parse(RunConfig, values | sections)


def test_every_field_changes_what_the_table_says(places: Places) -> None:
    found = {}
    for shown, (place, config) in places.items():
        for path in _leaves(config):
            if path[: len(place)] == place:
                found[".".join((shown, *path[len(place) :]))] = _changes(config, _flip(config, path))
    assert found == {
        f"{group}.{field}".strip("."): changes
        for (group, changes), fields in COUNTS.items()
        for field in fields.split()
    }


def _leaves(settings: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name)


def _flip(settings: Any, path: tuple[str, ...]) -> Any:
    """The same settings with another value at one leaf, validated or not."""
    name, *below = path
    value = getattr(settings, name)
    new = _flip(value, tuple(below)) if below else _other(value)
    return settings.model_copy(update={name: new})


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return "cuda" if value == "cpu" else f"{value}x"
        case None:
            return 7
        case tuple():
            return (*value, 1)
        case dict():
            return {**value, "trainer": {"log_val_generations": 1}}
    raise TypeError(f"no other value for {value!r}")


def _changes(old: RunConfig, new: RunConfig) -> str:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Pydantic serializer warnings")
        base = base_identity(old) != base_identity(new)
        train = train_identity(old).id != train_identity(new).id
        evaluation = evaluation_digest(old) != evaluation_digest(new)
        benchmarks = benchmark_folder(old) != benchmark_folder(new)
    found = {"base": base, "train": train, "evaluation": evaluation, "benchmarks": benchmarks}
    names = [name for name, changed in found.items() if changed]
    return " ".join(names) or "-"


@pytest.mark.parametrize(
    ("method", "phases"),
    [("sft", {"sft"}), ("rft", {"rl"}), ("prefix_rft", {"rl"}), ("sft_rft", {"sft", "rl"})],
)
def test_only_the_phases_a_method_passes_through_count(method: str, phases: set[str]) -> None:
    config = _config({"name": method})
    changing = {
        phase
        for phase in ("sft", "rl")
        if _changes(config, _flip(config, ("optimisation", phase, "learning_rate"))) == "train"
    }
    assert changing == phases


def test_an_id_is_the_beginning_of_the_hash_of_canonical_json() -> None:
    """Another number here renames every run of every user: then raise FORMAT and say so in the changelog."""
    canonical = '{"counts":{"a":[0.1,null],"b":{"x":true}},"format":1,"kind":"train"}'
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:12]
    assert identity_digest("train", {"b": {"x": True}, "a": [0.1, None]}) == expected == "7128ab717dc5"


def test_the_predecessor_of_sft_rft_is_the_standalone_sft_run() -> None:
    before = predecessor(_config({"name": "sft_rft", "rollouts": 4}, seed=3))
    assert before is not None
    assert train_identity(before) == train_identity(_config({"name": "sft"}, seed=3))
    assert [predecessor(_config({"name": name})) for name in ("sft", "rft", "prefix_rft")] == [
        None,
        None,
        None,
    ]


def test_a_chain_names_each_parent() -> None:
    base, sft, last = chain(_config({"name": "sft_rft"}))
    assert [run.identity.kind for run in (base, sft, last)] == ["base", "train", "train"]
    assert [run.parent_id for run in (base, sft, last)] == [None, base.identity.id, sft.identity.id]
    assert [run.config.method.name for run in (sft, last)] == ["sft", "sft_rft"]


def test_a_pretrained_model_needs_no_base_run(places: Places) -> None:
    (only,) = chain(places["model[pretrained]"][1])
    assert only.parent_id is None


def test_methods_share_the_base_run() -> None:
    assert len({chain(_config({"name": name}))[0].identity.id for name in METHODS}) == 1


def test_a_moved_data_file_is_the_same_run_and_a_changed_one_another(places: Places, tmp_path: Path) -> None:
    config = places["data[jsonl]"][1]
    before = train_identity(config)
    moved = Path(config.data.path).rename(tmp_path / "elsewhere")  # type: ignore[union-attr]
    config = _with_path(config, moved)
    assert train_identity(config) == before
    moved.write_text("path two!")
    assert train_identity(config) != before


def _with_path(config: RunConfig, path: Path) -> RunConfig:
    return config.model_copy(update={"data": config.data.model_copy(update={"path": str(path)})})


def test_a_missing_data_file_is_named(places: Places) -> None:
    config = _with_path(places["data[jsonl]"][1], Path("nowhere.jsonl"))
    with pytest.raises(DataError, match=r"cannot read nowhere.jsonl: No such file"):
        train_identity(config)


def test_weights_are_named_by_size_and_edges(tmp_path: Path) -> None:
    config = _config(model={"kind": "pretrained", "path": str(tmp_path)})
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    ids = []
    for first, last, size in ((0, 0, 3), (1, 0, 3), (0, 1, 3), (0, 0, 4)):
        weights.write_bytes(bytes([first]) + bytes((size << 20) - 2) + bytes([last]))
        ids.append(train_identity(config).id)
    assert len(set(ids)) == 4


@pytest.mark.parametrize("path", ["./missing", "/missing/model", "a/b/c"])
def test_a_missing_model_folder_is_not_taken_for_a_name_on_the_hub(path: str) -> None:
    with pytest.raises(DataError, match="there is no model folder"):
        train_identity(_config(model={"kind": "pretrained", "path": path}))


def test_a_folder_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        train_identity(_config(model={"kind": "pretrained", "path": str(tmp_path)}))


def test_cards_of_one_kind_are_one_device() -> None:
    ids = {train_identity(_config(backend={"device": device})).id for device in ("cuda", "cuda:0", "cuda:1")}
    assert len(ids) == 1


def test_backends_share_the_base_model_and_not_the_run() -> None:
    local = chain(_config(optimisation={"rl": {"gradient_norms_every": 0}}))
    verl = chain(_config(**_on_verl()))
    assert local[0].identity == verl[0].identity
    assert local[1].identity.id != verl[1].identity.id


def test_protocols_of_one_name_do_not_share_a_folder() -> None:
    folders = {evaluation_folder(_config(evaluation={"temperature": t})) for t in (0.6, 1.0)}
    assert len(folders) == 2
    assert all(folder.startswith("avg32-") for folder in folders)
