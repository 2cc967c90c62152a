"""Folders: what the fast model covers, bit-identical round trips, and what a damaged folder says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from prefix_rft.errors import CheckpointError, TrainingError
from prefix_rft.local import convert
from prefix_rft.local.convert import Shape, covers, deinterleave, interleave, stop_ids
from prefix_rft.local.policy import load_policy
from prefix_rft.settings import LocalBackend

LLAMA: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 5, "max_position_embeddings": 16, "hidden_act": "silu",
}  # fmt: skip


def change_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def change_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    file = folder / "model.safetensors"
    state: dict[str, torch.Tensor | None] = {**load_file(file), **changes}
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, file)


def test_pairs_of_the_rotary_embedding_come_to_stand_side_by_side() -> None:
    rows = torch.arange(12)[:, None]
    assert interleave(rows, 6)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    assert torch.equal(deinterleave(interleave(rows, 6), 6), rows)
    assert torch.equal(deinterleave(interleave(rows[:, 0], 4), 4), rows[:, 0])


@pytest.mark.parametrize("family", ["qwen2", "llama"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("key_value_heads", [4, 2])
def test_a_round_trip_keeps_every_bit(
    model_folder: Any, tmp_path: Path, family: str, tied: bool, key_value_heads: int
) -> None:
    folder = model_folder(family=family, tie_embeddings=tied, key_value_heads=key_value_heads)
    policy = load_policy(folder, LocalBackend(fast_path="on"))
    policy.save(tmp_path / "copy")
    before, after = (load_file(place / "model.safetensors") for place in (folder, tmp_path / "copy"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name in ("config.json", "generation_config.json"):
        assert json.loads((folder / name).read_text()) == json.loads((tmp_path / "copy" / name).read_text())


def test_weights_are_counted(model_folder: Any) -> None:
    for tied in (True, False):
        policy = load_policy(model_folder(tie_embeddings=tied, key_value_heads=2), LocalBackend())
        shape = policy.model.shape  # type: ignore[attr-defined]
        assert shape.parameters == sum(weight.numel() for weight in policy.parameters())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model_type": "gemma2"}, "model_type=gemma2 (covered: llama, qwen2)"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope type llama3"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope type linear"),
        ({"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, "rope type yarn"),
        ({"partial_rotary_factor": 0.5}, "partial rotary embedding"),
        (
            {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
            "partial rotary embedding",
        ),
        ({"use_sliding_window": True, "sliding_window": 4}, "sliding window attention"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "sliding window attention"),
        ({"attention_bias": True}, "attention_bias=true"),
        ({"mlp_bias": True}, "mlp_bias=true"),
        ({"hidden_act": "gelu"}, "hidden_act=gelu"),
        ({"quantization_config": {"bits": 4}}, "quantised weights"),
        ({"head_dim": 5}, "odd head size 5"),
    ],
)
def test_what_is_not_covered_has_a_reason(changes: dict[str, Any], reason: str) -> None:
    assert covers(LLAMA | changes) == reason


@pytest.mark.parametrize(
    "changes", [{}, {"rope_scaling": None}, {"model_type": "qwen2", "sliding_window": 4096}]
)
def test_the_plain_architectures_are_covered(changes: dict[str, Any]) -> None:
    assert covers(LLAMA | changes) is None


@pytest.mark.parametrize(
    ("changes", "theta"),
    [
        ({}, 1e4),
        ({"rope_theta": 5e5}, 5e5),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 4e4}}, 4e4),
    ],
)
def test_the_rotary_base_is_read_from_old_and_new_configurations(
    changes: dict[str, Any], theta: float
) -> None:
    assert Shape.of(LLAMA | changes).rope_theta == theta


def test_stop_ids_come_from_the_generation_config_first() -> None:
    assert stop_ids({"eos_token_id": 3}, {"eos_token_id": [4, 5]}) == (4, 5)
    assert stop_ids({"eos_token_id": 3}, {}) == (3,)
    assert stop_ids({}, {"eos_token_id": 0}) == (0,)
    assert stop_ids({}, {}) == ()


def test_sharded_weights_are_read(model_folder: Any) -> None:
    folder = model_folder()
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, part in shards.items():
        save_file({name: state[name] for name in part}, folder / shard)
    (folder / "model.safetensors").unlink()
    weight_map = {name: shard for shard, part in shards.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    _, _, found = convert.read_folder(folder)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


class TestDamage:
    def test_half_written_weights(self, model_folder: Any) -> None:
        file = model_folder() / "model.safetensors"
        file.write_bytes(file.read_bytes()[:1000])
        with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read"):
            load_policy(file.parent, LocalBackend())

    def test_half_written_configuration(self, model_folder: Any) -> None:
        file = model_folder() / "config.json"
        file.write_text(file.read_text()[:50])
        with pytest.raises(CheckpointError, match=r"config\.json is damaged"):
            load_policy(file.parent, LocalBackend())

    def test_no_weights(self, model_folder: Any) -> None:
        folder = model_folder()
        (folder / "model.safetensors").unlink()
        with pytest.raises(CheckpointError, match=r"holds neither model\.safetensors nor"):
            load_policy(folder, LocalBackend())

    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="is no model folder"):
            load_policy(tmp_path, LocalBackend())

    def test_a_missing_weight_is_named(self, model_folder: Any) -> None:
        folder = model_folder()
        change_weights(folder, **{"model.layers.1.mlp.up_proj.weight": None})
        with pytest.raises(CheckpointError, match=r"lacks model\.layers\.1\.mlp\.up_proj\.weight"):
            load_policy(folder, LocalBackend())

    def test_a_superfluous_weight_is_named(self, model_folder: Any) -> None:
        folder = model_folder()
        change_weights(folder, **{"model.layers.0.self_attn.q_norm.weight": torch.ones(8)})
        with pytest.raises(CheckpointError, match=r"q_norm\.weight"):
            load_policy(folder, LocalBackend())

    def test_weights_of_another_size_are_named(self, model_folder: Any) -> None:
        folder = model_folder()
        change_config(folder, vocab_size=99)
        with pytest.raises(
            CheckpointError, match=r"embedding have size \(13, 32\); config.json says \(99, 32\)"
        ):
            load_policy(folder, LocalBackend())


class TestChoice:
    def test_auto_takes_the_fast_path_where_it_can(self, model_folder: Any) -> None:
        assert load_policy(model_folder(), LocalBackend()).path == "fast"

    def test_off_takes_the_general_path(self, model_folder: Any) -> None:
        assert load_policy(model_folder(), LocalBackend(fast_path="off")).path == "general"

    def test_auto_takes_the_general_path_for_what_is_not_covered(self, model_folder: Any) -> None:
        folder = model_folder(family="llama")
        change_config(folder, rope_scaling={"rope_type": "linear", "factor": 2.0})
        assert load_policy(folder, LocalBackend()).path == "general"

    def test_on_refuses_what_is_not_covered(self, model_folder: Any) -> None:
        folder = model_folder(family="llama")
        change_config(folder, rope_scaling={"rope_type": "linear", "factor": 2.0})
        with pytest.raises(TrainingError, match=r"fast_path=on.*rope type linear.*fast_path=auto"):
            load_policy(folder, LocalBackend(fast_path="on"))

    def test_on_refuses_bfloat16(self, model_folder: Any) -> None:
        with pytest.raises(TrainingError, match="dtype=bfloat16"):
            load_policy(model_folder(), LocalBackend(fast_path="on", dtype="bfloat16"))

    def test_auto_leaves_large_models_to_the_general_path(
        self, model_folder: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("prefix_rft.local.policy.FAST_PATH_LIMIT", 1000)
        assert load_policy(model_folder(), LocalBackend()).path == "general"
        assert load_policy(model_folder(), LocalBackend(fast_path="on")).path == "fast"

    @pytest.mark.skipif(torch.cuda.is_available(), reason="the refusal is about machines without CUDA")
    def test_a_device_that_is_not_there_is_named(self, model_folder: Any) -> None:
        with pytest.raises(TrainingError, match="device=cuda:1 is not available"):
            load_policy(model_folder(), LocalBackend(device="cuda:1"))

    @pytest.mark.parametrize("device", ["cdua", "mps"])
    def test_an_unknown_device_is_refused_with_the_choices(self, model_folder: Any, device: str) -> None:
        with pytest.raises(TrainingError, match=f"device={device}.* cpu, cuda"):
            load_policy(model_folder(), LocalBackend(device=device))

    def test_a_model_that_is_nowhere_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(TrainingError, match=r"no/such-model.*neither a folder here nor reachable"):
            load_policy("no/such-model", LocalBackend())
