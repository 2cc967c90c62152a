"""What the sampler asks a well-behaved server, and what it makes of the answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eval.prompts import Prompt
from eval.sampler import Decoding, Response, SamplingError, StreamingSampler
from prefix_rft.data.schema import Message
from prefix_rft.errors import SettingsError

DECODING = Decoding(max_new=9, temperature=0.6, top_p=0.95)
KEYS = np.array([3, 7, 2**63 + 11, 2**64 - 1, 12, 13], dtype=np.uint64)
SEEDS = [3, 7, 11, 2**63 - 1, 12, 13]
"""The lowest 63 bits of the keys."""


def test_every_sample_is_asked_for_with_its_own_seed_and_comes_back_in_order(
    server: Any, connect: Any, prompts: list[Prompt]
) -> None:
    sampler = connect()
    assert isinstance(sampler, StreamingSampler)
    made = sampler.sample(prompts, KEYS, DECODING)
    assert [response.text for response in made] == [str(seed) for seed in SEEDS]
    assert made[1] == Response("7", 1, finished=False)  # cut at the longest response
    assert made[4] == Response("12", 2, finished=True)
    by_seed = {body["seed"]: body for body in server.asked}
    assert by_seed[11] == {
        "model": "tiny",
        "prompt": [2, 7],
        "max_tokens": 9,
        "temperature": 0.6,
        "top_p": 0.95,
        "seed": 11,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }
    assert len(server.asked) == 6


def test_text_goes_where_ids_are_not_wanted(server: Any, connect: Any, prompts: list[Prompt]) -> None:
    connect(prompt="text").sample(prompts[:1], KEYS[:1], DECODING)
    assert server.asked[0]["prompt"] == "0?"


def test_chat_sends_messages(server: Any, connect: Any, prompts: list[Prompt]) -> None:
    sampler = connect(api="chat")
    assert sampler.sample(prompts[:1], KEYS[:1], DECODING) == [Response("3", 1, finished=True)]
    assert server.asked[0]["messages"] == [{"role": "user", "content": "0?"}]
    assert "prompt" not in server.asked[0]
    assert sampler.name == "endpoint chat"


def test_a_response_that_the_protocol_begins_is_continued_where_the_server_can(
    server: Any, connect: Any
) -> None:
    begun = Prompt(
        "q",
        messages=(Message(role="user", content="1?"), Message(role="assistant", content="<think>\n")),
    )
    connect(api="chat").sample([begun], KEYS[:1], DECODING)
    assert server.asked[0]["continue_final_message"] is True
    assert server.asked[0]["add_generation_prompt"] is False
    server.owner = "somebody"
    with pytest.raises(SettingsError, match="only do on vLLM and SGLang"):
        connect(api="chat", server="somebody 1").sample([begun], KEYS[:1], DECODING)


@pytest.mark.parametrize(
    ("settings", "prompt", "words"),
    [
        ({}, Prompt("q", text="1?"), "'q' has no token ids"),
        ({"prompt": "text"}, Prompt("q", ids=(1,)), "'q' has no rendered text"),
        ({"api": "chat"}, Prompt("q", ids=(1,)), "'q' has no messages"),
    ],
)
def test_a_prompt_without_the_form_that_is_sent_is_refused_before_any_request(
    server: Any, connect: Any, prompts: list[Prompt], settings: dict[str, Any], prompt: Prompt, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        connect(**settings).sample([*prompts[:3], prompt], KEYS[:4], DECODING)
    assert server.asked == []


def test_no_more_requests_are_under_way_than_allowed(server: Any, connect: Any) -> None:
    prompts = [Prompt(f"q{i}", ids=(i,)) for i in range(24)]
    made = connect(concurrency=3).sample(prompts, np.arange(24, dtype=np.uint64), DECODING)
    assert [response.text for response in made] == [str(i) for i in range(24)]
    assert server.most_at_once <= 3


def test_rows_come_as_they_are_answered(faults: Any, server: Any, connect: Any) -> None:
    server.faults = [faults.hang()]
    prompts = [Prompt(f"q{i}", ids=(i,)) for i in range(4)]
    stream = connect(concurrency=2, retries=0).stream(prompts, np.arange(4, dtype=np.uint64), DECODING)
    first = [next(stream) for _ in range(3)]  # one of the four hangs meanwhile
    stream.close()
    assert len({row for row, _ in first}) == 3
    assert all(outcome == Response(str(row), 1, finished=True) for row, outcome in first)


def test_the_key_is_sent_and_never_printed(
    server: Any, connect: Any, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "sk-right"
    monkeypatch.setenv("TINY_KEY", "sk-right")
    assert len(connect(api_key_env="TINY_KEY").sample(prompts, KEYS, DECODING)) == 6
    monkeypatch.setenv("TINY_KEY", "sk-wrong")
    with pytest.raises(SamplingError, match=r"status 401: Incorrect API key .*\*\*\*.*api_key_env") as caught:
        connect(api_key_env="TINY_KEY")
    assert "sk-wrong" not in str(caught.value)
    monkeypatch.delenv("TINY_KEY")
    with pytest.raises(SettingsError, match="api_key_env=TINY_KEY: that environment variable is not set"):
        connect(api_key_env="TINY_KEY")


def test_the_server_says_who_it_is(server: Any, connect: Any) -> None:
    server.version = "0.32.0+cpu"
    sampler = connect()
    assert (sampler.name, sampler.version) == ("endpoint completions", "vllm 0.32.0")
    assert sampler.subject == "model abc, served as tiny"
    changed = connect(seeds=False, body={"priority": 1})
    assert changed.version == 'vllm 0.32.0, without seeds, with {"priority": 1}'


def test_without_seeds_none_is_sent_and_the_body_has_the_additions(
    server: Any, connect: Any, prompts: list[Prompt]
) -> None:
    connect(seeds=False, body={"top_k": 5, "priority": 1}).sample(prompts[:1], KEYS[:1], DECODING)
    assert "seed" not in server.asked[0]
    assert (server.asked[0]["top_k"], server.asked[0]["priority"]) == (5, 1)


def test_a_server_that_is_not_known_gets_only_what_everyone_takes(
    server: Any, connect: Any, prompts: list[Prompt]
) -> None:
    server.owner, server.version = "somebody", None
    with pytest.raises(SettingsError, match=r"does not say which software .*sampler\.server"):
        connect()
    connect(server="somebody 1").sample(prompts[:1], KEYS[:1], DECODING)
    assert set(server.asked[0]) == {"model", "prompt", "max_tokens", "temperature", "top_p", "seed"}


def test_a_model_that_is_not_served_is_refused_with_those_that_are(server: Any, connect: Any) -> None:
    with pytest.raises(SettingsError, match=r"unknown model 'tny'.*Did you mean 'tiny'\?"):
        connect(model="tny")
    server.owner = None  # keeps no list
    with pytest.raises(SettingsError, match=r"does not list its models; say which with sampler\.model"):
        connect()
    assert connect(model="tiny", server="vllm 1").server.model == "tiny"
