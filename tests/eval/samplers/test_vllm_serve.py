"""A real `vllm serve` on a CPU, asked by the endpoint sampler (`make vllm`)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from eval.evaluate import evaluate
from eval.prompts import Prompt
from eval.sampler import Decoding, SamplingError
from eval.samplers.endpoint import EndpointSampler
from eval.samplers.settings import EndpointSampling
from prefix_rft.data.encode import load_encoder
from prefix_rft.data.schema import Message
from prefix_rft.errors import SettingsError

pytestmark = pytest.mark.vllm
READY_SECONDS = 600
HOT = Decoding(12, 1.0, 1.0)
KEYS = np.arange(1, 9, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)

Connect = Callable[..., EndpointSampler]


@pytest.fixture(scope="module")
def url(
    vllm_bin: Path,
    vllm_environment: dict[str, str],
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("serve")
    options = f"--host 127.0.0.1 --port {port} --dtype float32 --enforce-eager --max-model-len 256"
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            [vllm_bin / "vllm", "serve", tiny_model, *options.split(), "--served-model-name", "tiny"],
            env=vllm_environment,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait(server, f"http://127.0.0.1:{port}/health", folder / "log.txt")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(60)
            finally:
                if server.poll() is None:
                    os.killpg(server.pid, signal.SIGKILL)


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    for _ in range(READY_SECONDS):
        assert server.poll() is None, log.read_text()[-4000:]
        try:
            if httpx.get(address, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(1)
    raise AssertionError(f"not ready after {READY_SECONDS} s: {log.read_text()[-4000:]}")


@pytest.fixture
def connect(url: str) -> Connect:
    def made(**settings: Any) -> EndpointSampler:
        return EndpointSampler.connect(
            EndpointSampling.model_validate({"base_url": url, "retries": 1, **settings}), "model tiny"
        )

    return made


@pytest.fixture(scope="module")
def prompts(tiny_model: Path) -> list[Prompt]:
    encoder = load_encoder(tiny_model)
    asked = [(Message(role="user", content=f"What is 1 + {i} ?"),) for i in range(8)]
    return [
        Prompt(f"q{i}", tuple(encoder.encode_prompt(messages)), encoder.render(messages), messages)
        for i, messages in enumerate(asked)
    ]


def test_ids_text_and_messages_get_the_same_samples(connect: Connect, prompts: list[Prompt]) -> None:
    made = connect().sample(prompts, KEYS, HOT)
    assert connect(prompt="text").sample(prompts, KEYS, HOT) == made
    assert connect(api="chat").sample(prompts, KEYS, HOT) == made
    assert len({response.text for response in made}) == 8


def test_seeds_alone_decide_whatever_the_company(connect: Connect, prompts: list[Prompt]) -> None:
    made = connect(concurrency=8).sample(prompts, KEYS, HOT)
    assert connect(concurrency=1).sample(prompts, KEYS, HOT) == made
    assert connect(concurrency=8).sample(prompts[::-1], KEYS[::-1], HOT)[::-1] == made
    assert connect().sample(prompts, KEYS + np.uint64(1), HOT) != made


def test_they_are_those_of_the_offline_engine(connect: Connect, vllm_run: Callable[..., Any]) -> None:
    found = vllm_run(writes=True)
    prompts = [Prompt(f"q{i}", ids=tuple(row)) for i, row in enumerate(found["rows"])]
    keys = np.arange(1, 33, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    made = connect().sample(prompts, keys, Decoding(24, 1.0, 1.0))
    # Of a character that ends in the middle the server sends nothing, our own decoding U+FFFD.
    offline = [[text.rstrip("\ufffd"), tokens, finished] for text, tokens, finished in found["responses"]]
    assert [[row.text.rstrip("\ufffd"), row.tokens, row.finished] for row in made] == offline


def test_the_models_own_decoding_settings_change_nothing(connect: Connect, prompts: list[Prompt]) -> None:
    same = [prompts[0]] * 8
    assert len({response.text for response in connect().sample(same, KEYS, HOT)}) == 8
    # What its generation_config.json asks for: the most likely token always.
    assert len({response.text for response in connect(body={"top_k": 1}).sample(same, KEYS, HOT)}) == 1


def test_the_server_is_known_by_name_and_version(connect: Connect) -> None:
    sampler = connect()
    assert sampler.version == "vllm 0.32.0"
    assert sampler.subject == "model tiny, served as tiny"
    with pytest.raises(SettingsError, match=r"unknown model 'tyni'.*'tiny'"):
        connect(model="tyni")


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_prompt_that_does_not_fit_is_refused_in_the_servers_words(
    connect: Connect, prompts: list[Prompt], api: str
) -> None:
    long = Prompt("long", (prompts[0].ids or ()) * 40, None, (Message(role="user", content="1 + " * 200),))
    with pytest.raises(SamplingError, match=r"status 400: .*maximum context length is 256 tokens"):
        connect(api=api).sample([long], KEYS[:1], HOT)


def test_a_response_begun_by_the_protocol_is_continued(connect: Connect, prompts: list[Prompt]) -> None:
    begun = Prompt("q", messages=(*prompts[0].messages, Message(role="assistant", content="It is")))
    response = connect(api="chat").sample([begun], KEYS[:1], HOT)[0]
    assert response.tokens <= 12
    assert not response.text.startswith("It is")


def test_an_evaluation_over_a_server_goes_on_where_it_was(
    connect: Connect, cases: Callable[..., Any], tmp_path: Path
) -> None:
    case = cases(6, 4)
    case.sampler = connect(batch=5, concurrency=4)
    whole = evaluate(tmp_path / "whole", **case.arguments())

    def stop(stage: str, done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path / "cut", **case.arguments(), progress=stop)
    assert 8 <= 5 * len(list((tmp_path / "cut" / "samples.parts").iterdir())) < 24
    assert evaluate(tmp_path / "cut", **case.arguments()) == whole
    for name in ("samples.parquet", "verdicts.parquet", "scores.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
