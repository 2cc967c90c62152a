"""The protocols: what the sources say, and what is told of departures from them."""

from __future__ import annotations

import hashlib

import pytest
from pydantic import ValidationError

from eval.benchmarks import BENCHMARKS
from eval.protocols import PROTOCOLS, EvaluationProtocol, PromptForm, family_of, find
from eval.protocols.catalogue import LUFFY_SYSTEM
from eval.protocols.schema import FAMILIES
from prefix_rft.errors import SettingsError
from prefix_rft.models.families import FAMILIES as PREPARED

DECODING = {
    "luffy": (0.6, 1.0, 8192),
    "relift": (0.6, 1.0, 8192),
    "prefix_rft": (0.6, 0.95, 8192),
    "plain": (0.6, 1.0, 8192),
    "lighteval": (0.6, 1.0, 8192),
}
"""Temperature, top_p, longest response: generate_vllm.py's of LUFFY and ReLIFT, val_kwargs of Prefix-RFT; the last two
are this project's."""


def test_decoding_is_the_sources() -> None:
    found = {name: (item.temperature, item.top_p, item.max_tokens) for name, item in PROTOCOLS.items()}
    assert found == DECODING


def test_what_is_graded_is_the_sources() -> None:
    """LUFFY's OAT label and Prefix-RFT's rfn_after_think_val fall back to the whole response, ReLIFT does not."""
    assert {name: item.grading.think for name, item in PROTOCOLS.items()} == {
        "luffy": "after_close",
        "relift": "required",
        "prefix_rft": "after_close",
        "plain": "after_close",
        "lighteval": "whole",
    }


def test_luffys_system_text_is_the_datas_byte_for_byte() -> None:
    digest = hashlib.sha256(LUFFY_SYSTEM.encode()).hexdigest()
    assert digest == "a8747f1674d341836ab8fae3c29263fee4dd555f07259cdbc6dadf4104ea8926"


def test_every_protocol_names_its_source_and_its_departures() -> None:
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name
        assert protocol.source
        assert protocol.notes
    assert any("OAT" in note for note in PROTOCOLS["luffy"].notes)


def test_samples_are_the_registrys_unless_the_protocol_says_otherwise() -> None:
    assert [find("luffy").samples_of(BENCHMARKS[name]) for name in ("aime24", "amc", "math500")] == [
        32,
        32,
        1,
    ]
    fewer = find("plain").model_copy(update={"samples": {"aime24": 4}})
    assert [fewer.samples_of(BENCHMARKS[name]) for name in ("aime24", "amc")] == [4, 32]


def test_llama_is_asked_without_system_text_and_thinking() -> None:
    llama, qwen = find("luffy", "llama"), find("luffy", "qwen2.5-math")
    assert (llama.system, llama.user, llama.rendering) == (None, "User: {problem}", "plain")
    assert llama.assistant_start == "\nAnswer: Let's think step by step."
    assert qwen == find("luffy") == find("luffy", "qwen3")
    assert (llama.name, llama.temperature, llama.max_tokens) == (qwen.name, qwen.temperature, qwen.max_tokens)


def test_a_model_that_is_not_made_to_think_is_graded_whole() -> None:
    for name in ("luffy", "relift"):
        llama, qwen = find(name, "llama"), find(name, "qwen3")
        assert llama.grading == qwen.grading.model_copy(update={"think": "whole"}) != qwen.grading


def test_families_are_those_that_models_are_prepared_for() -> None:
    assert {family_of(item.model_type) for item in PREPARED} == set(FAMILIES)
    assert family_of("gpt_neox") is None


def test_unknown_names_are_refused_with_the_choices() -> None:
    with pytest.raises(
        SettingsError,
        match=r"unknown protocol 'lufy'\. Did you mean 'luffy'\? Known: lighteval, luffy, plain",
    ):
        find("lufy")
    with pytest.raises(SettingsError, match=r"unknown model family 'lama'\. Did you mean 'llama'\?"):
        find("luffy", "lama")


@pytest.mark.parametrize("user", ["no place", "{problem} and {problem}"])
def test_a_prompt_that_does_not_ask_once_is_refused(user: str) -> None:
    with pytest.raises(ValidationError, match="must hold"):
        PromptForm(user=user)


def test_a_protocol_survives_a_trip_through_json() -> None:
    for protocol in PROTOCOLS.values():
        assert EvaluationProtocol.model_validate_json(protocol.model_dump_json()) == protocol
