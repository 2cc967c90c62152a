"""Everything that can go wrong between here and a server: mended by repetition, or said in words."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest

from eval.prompts import Prompt
from eval.sampler import Decoding, Lost, SamplingError
from eval.samplers import exchange

DECODING = Decoding(max_new=9, temperature=0.6, top_p=1.0)
KEYS = np.arange(6, dtype=np.uint64)
TEXTS = [str(i) for i in range(6)]

MENDED = {
    "429": lambda f: f.status(429, {"error": {"message": "slow down"}}, times=2),
    "500": lambda f: f.status(500, b"oh", times=2),
    "503 without a body": lambda f: f.status(503, times=2),
    "a dropped connection": lambda f: f.drop(times=2),
    "a truncated body": lambda f: f.truncate(times=2),
    "an empty body": lambda f: f.status(200, times=2),
    "no JSON": lambda f: f.status(200, b"{'text': ", times=2),
    "JSON but no object": lambda f: f.status(200, b"[1, 2]", times=2),
    "nested beyond reason": lambda f: f.status(200, b"[" * 100_000, times=2),
    "no choice": lambda f: f.status(200, {"choices": []}, times=2),
    "no HTTP": lambda f: f.instead(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", times=2),
    "garbage in its encoding": lambda f: f.status(200, b"\x00\x01", 2, Content_Encoding="gzip"),
}


@pytest.mark.parametrize("name", MENDED)
def test_a_fault_that_passes_is_mended_by_repetition(
    faults: Any, server: Any, connect: Any, prompts: list[Prompt], name: str
) -> None:
    server.faults = [MENDED[name](faults)]
    made = connect(retries=2).sample(prompts, KEYS, DECODING)
    assert [response.text for response in made] == TEXTS
    assert len(server.asked) == 8  # two of them again
    seeds = [body["seed"] for body in server.asked]
    assert sorted(set(seeds)) == list(range(6))  # a repeated request has the seed that it had


DEAD = {
    "status 503: model is loading": lambda f: f.status(503, {"error": "model is loading"}, times=99),
    "status 502: <html>Bad Gateway</html>": lambda f: f.status(502, b"<html>Bad Gateway</html>", times=99),
    "status 500: no further word": lambda f: f.status(500, times=99),
    "RemoteProtocolError": lambda f: f.drop(times=99),
    "no JSON object: nothing at all": lambda f: f.status(200, times=99),
    r"no JSON object: \{'text':": lambda f: f.status(200, b"{'text': ", times=99),
    "no whole reply within 0.3 s": lambda f: f.hang(times=99),
    "no whole reply within 0.30 s": lambda f: f.trickle(times=99),
}


@pytest.mark.parametrize("words", DEAD)
def test_a_fault_that_stays_is_said_in_words(
    faults: Any, server: Any, connect: Any, prompts: list[Prompt], words: str
) -> None:
    sampler = connect(retries=1, timeout_seconds=0.3 if "within" in words else 20)
    server.faults = [DEAD[words](faults)]
    began = time.monotonic()
    with pytest.raises(SamplingError, match="failed 2 times, last with: .*" + words.replace("0.30", "0.3")):
        sampler.sample(prompts[:1], KEYS[:1], DECODING)
    assert time.monotonic() - began < 20


WRONG = {
    "without text": lambda reply: {**reply, "choices": [{"finish_reason": "stop"}]},
    "'content_filter', neither": lambda reply: _with_reason(reply, "content_filter"),
    "None, neither": lambda reply: _with_reason(reply, None),
    "does not count its tokens": lambda reply: {**reply, "usage": None},
    "count its tokens .*'3'": lambda reply: {**reply, "usage": {"completion_tokens": "3"}},
    "exactly one choice": lambda reply: {**reply, "choices": reply["choices"] * 2},
}


def _with_reason(reply: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {**reply, "choices": [{**reply["choices"][0], "finish_reason": reason}]}


@pytest.mark.parametrize("words", WRONG)
def test_a_reply_that_lacks_something_is_no_sample(
    server: Any, connect: Any, prompts: list[Prompt], words: str
) -> None:
    server.edit = WRONG[words]
    with pytest.raises(SamplingError, match=words):
        connect(retries=0).sample(prompts[:1], KEYS[:1], DECODING)


@pytest.mark.parametrize("code", [400, 404, 413, 422])
def test_a_refusal_ends_everything_with_the_servers_words(
    faults: Any, server: Any, connect: Any, code: int
) -> None:
    words = {"error": {"message": "maximum context length is 4096 tokens", "code": code}}
    server.faults = [faults.status(code, words, times=99)]
    prompts = [Prompt(f"q{i}", ids=(i,)) for i in range(50)]
    with pytest.raises(SamplingError, match=f"status {code}: maximum context length is 4096 tokens"):
        connect(retries=5, concurrency=2).sample(prompts, np.arange(50, dtype=np.uint64), DECODING)
    assert len(server.asked) <= 4  # neither repeated nor followed by the rest


def test_a_redirection_is_not_followed(faults: Any, server: Any, connect: Any, prompts: list[Prompt]) -> None:
    server.faults = [faults.status(307, times=9, Location="http://127.0.0.1:9/elsewhere")]
    with pytest.raises(SamplingError, match="refuses with status 307"):
        connect().sample(prompts, KEYS, DECODING)


def test_another_models_answer_is_refused(server: Any, connect: Any, prompts: list[Prompt]) -> None:
    server.edit = lambda reply: {**reply, "model": "tiny-2026-01-01"}
    assert len(connect().sample(prompts, KEYS, DECODING)) == 6  # a provider's dated name
    server.edit = lambda reply: {**reply, "model": "large"}
    with pytest.raises(SamplingError, match="asked for model 'tiny', the server answers as 'large'"):
        connect().sample(prompts, KEYS, DECODING)


def test_thoughts_that_the_server_cut_out_are_noticed(
    server: Any, connect: Any, prompts: list[Prompt]
) -> None:
    def cut(reply: dict[str, Any]) -> dict[str, Any]:
        message = {"content": "4", "reasoning_content": "2 + 2"}
        return {**reply, "choices": [{"message": message, "finish_reason": "stop"}]}

    server.edit = cut
    with pytest.raises(SamplingError, match="without a reasoning parser"):
        connect(api="chat").sample(prompts[:1], KEYS[:1], DECODING)


def test_halves_of_surrogate_pairs_and_null_bytes_can_be_stored(
    server: Any, connect: Any, prompts: list[Prompt]
) -> None:
    server.edit = lambda reply: {
        **reply,
        "choices": [{"text": "a\ud800b\0\U0001f600", "finish_reason": "stop"}],
    }
    text = connect().sample(prompts[:1], KEYS[:1], DECODING)[0].text
    assert text == "a\ufffdb\0\U0001f600"
    assert text.encode().decode() == text


def test_the_server_says_how_long_to_wait(
    faults: Any, server: Any, connect: Any, prompts: list[Prompt]
) -> None:
    sampler = connect(backoff_seconds=60.0)
    server.faults = [faults.status(429, times=1, Retry_After="0.2")]
    began = time.monotonic()
    sampler.sample(prompts[:1], KEYS[:1], DECODING)
    assert 0.2 <= time.monotonic() - began < 30  # its own wait would have been at least that


def test_waits_double_and_differ_between_requests(connect: Any) -> None:
    settings = connect(backoff_seconds=1.0).settings
    waits = exchange.Exchange(None, settings, None)._wait  # type: ignore[arg-type]
    for attempt, base in enumerate([1, 2, 4, 8, 16, 32, 60, 60]):
        assert base / 2 <= waits(attempt, 5, None) < 1.5 * base
    assert waits(0, 1, None) != waits(0, 2, None)
    assert waits(0, 1, None) == waits(0, 1, None)
    assert waits(3, 1, 7.5) == 7.5


def test_a_server_that_is_not_there(connect: Any, server: Any) -> None:
    server.url = "http://127.0.0.1:9/v1"
    with pytest.raises(SamplingError, match=r"127\.0\.0\.1:9/v1 failed 3 times, last with: ConnectError"):
        connect(retries=2)


def test_a_server_that_starts_late_is_waited_for(faults: Any, server: Any, connect: Any) -> None:
    server.before = [faults.status(503, times=2)]
    assert connect(retries=2).server.model == "tiny"


def test_some_requests_die_and_the_others_live(
    faults: Any, server: Any, connect: Any, prompts: list[Prompt]
) -> None:
    server.faults = [faults.status(500, b"", times=99)]
    server.faults[0].only = lambda body: body.get("seed") in (1, 4)
    outcomes = dict(connect(retries=1).stream(prompts, KEYS, DECODING))
    assert [row for row, outcome in sorted(outcomes.items()) if isinstance(outcome, Lost)] == [1, 4]
    with pytest.raises(SamplingError, match=r"2 of 6 samples could not be had: .*status 500"):
        connect(retries=1).sample(prompts, KEYS, DECODING)


def test_a_dead_server_is_given_up_before_every_row_was_tried(faults: Any, server: Any, connect: Any) -> None:
    sampler = connect(retries=0, concurrency=4)
    server.faults = [faults.drop(times=1000)]
    prompts = [Prompt(f"q{i}", ids=(i,)) for i in range(100)]
    with pytest.raises(SamplingError, match="failed once, last with"):
        sampler.sample(prompts, np.arange(100, dtype=np.uint64), DECODING)
    assert 16 <= len(server.asked) <= 20


def test_a_few_bad_prompts_do_not_stand_before_the_others(
    faults: Any, server: Any, connect: Any, prompts: list[Prompt]
) -> None:
    server.faults = [faults.drop(times=99)]
    server.faults[0].only = lambda body: body["seed"] < 4
    outcomes = dict(connect(retries=0, concurrency=1).stream(prompts, KEYS, DECODING))
    assert [isinstance(outcomes[row], Lost) for row in range(6)] == [True] * 4 + [False] * 2


def test_a_reply_without_end_is_cut(
    faults: Any, server: Any, connect: Any, prompts: list[Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "LARGEST_REPLY", 1 << 20)
    long = json.dumps({"text": "a" * (2 << 20)}).encode()
    server.faults = [faults.status(200, long, times=99)]
    with pytest.raises(SamplingError, match="a reply of more than 1 MiB"):
        connect(retries=0).sample(prompts[:1], KEYS[:1], DECODING)
