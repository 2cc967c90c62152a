"""Which model is which: the entries of the published config.json files, and what is not among them."""

from __future__ import annotations

from typing import Any

import pytest

from prefix_rft.errors import DataError
from prefix_rft.models import recognise
from prefix_rft.models.changes import difference, ended, positioned, prompted
from prefix_rft.models.families import Positions

MATH = {
    "model_type": "qwen2",
    "max_position_embeddings": 4096,
    "rope_theta": 10000,
    "use_sliding_window": False,
    "sliding_window": 4096,
}
LLAMA = {
    "model_type": "llama",
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0},
}
QWEN3 = {"model_type": "qwen3", "max_position_embeddings": 32768, "rope_theta": 1000000}


@pytest.mark.parametrize(
    ("config", "family"), [(MATH, "qwen2.5-math"), (LLAMA, "llama-3.1"), (QWEN3, "qwen3-base")]
)
def test_published_models_are_recognised(config: dict[str, Any], family: str) -> None:
    assert recognise(config, "m").name == family


def test_the_layout_of_newer_files_states_the_same() -> None:
    new = {**MATH, "rope_theta": None, "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"}}
    assert recognise(new, "m").name == "qwen2.5-math"
    assert Positions.of(new) == Positions(4096, 10000.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_position_embeddings": 16384, "rope_theta": 40000}, "is extended already"),
        ({"max_position_embeddings": 32768, "rope_theta": 1e6}, "is of no family that can be prepared"),
        ({"max_position_embeddings": 16384}, "is of no family that can be prepared"),
        ({"model_type": "gpt2", "max_position_embeddings": None}, "no max_position_embeddings"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, "rope type yarn"),
        ({"use_sliding_window": True}, "sliding window"),
    ],
)
def test_other_models_are_refused_by_name(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason) as refused:
        recognise({**MATH, **changes}, "some/model")
    assert str(refused.value).startswith("some/model ")


def test_the_extension_is_luffys() -> None:
    """arXiv 2504.14945: rope_theta from 10000 to 40000, the window from 4096 to 16384."""
    extended = recognise(MATH, "m").extended
    assert extended == Positions(16384, 40000.0)
    assert positioned(MATH, extended) == {**MATH, "max_position_embeddings": 16384, "rope_theta": 40000.0}
    new = {"max_position_embeddings": 4096, "rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}}
    assert positioned(new, extended) == {
        "max_position_embeddings": 16384,
        "rope_parameters": {"rope_theta": 40000.0, "rope_type": "default"},
    }
    assert positioned(LLAMA, None) == LLAMA


def test_the_new_base_stands_wherever_the_old_one_stood_or_was_taken_for_granted() -> None:
    extended = Positions(16384, 40000.0)
    both = positioned({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 1e4}}, extended)
    assert (both["rope_theta"], both["rope_parameters"]) == (40000.0, {"rope_theta": 40000.0})
    assert positioned({"max_position_embeddings": 4096}, extended)["rope_theta"] == 40000.0


def test_ends_are_the_tokenizers_and_no_response_is_limited() -> None:
    before = {"eos_token_id": [2, 3], "max_new_tokens": 2048, "temperature": 0.6}
    assert ended(before, 3, 0) == {"eos_token_id": 3, "pad_token_id": 0, "temperature": 0.6}


def test_a_tokenizer_with_a_short_limit_is_given_the_new_context() -> None:
    extended = Positions(16384, 40000.0)
    before = {"chat_template": "x", "model_max_length": 4096, "eos_token": "e"}
    assert prompted(before, extended, "luffy") == {"model_max_length": 16384, "eos_token": "e"}
    assert prompted(before, None, "keep") == before


def test_differences_name_the_entry_with_both_values() -> None:
    before, after = {"a": 1, "b": "x" * 201, "c": 3}, {"a": 2, "c": 3, "d": None}
    assert difference(before, after) == {"a": [1, 2], "b": ["a text of 201 characters", None]}
