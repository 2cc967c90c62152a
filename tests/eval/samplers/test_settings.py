"""Settings of the samplers: kinds, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from eval.samplers.settings import EndpointSampling, LocalSampling, SamplerSettings, VllmSampling
from prefix_rft.errors import SettingsError
from prefix_rft.settings.base import Settings, parse

URL = "http://localhost:8000/v1"


class Request(Settings):
    sampler: SamplerSettings = LocalSampling()


def test_the_kind_chooses() -> None:
    assert parse(Request, {}).sampler == LocalSampling()
    assert parse(Request, {"sampler": {"device": "cuda"}}).sampler == LocalSampling(device="cuda")
    asked = {"kind": "vllm", "tensor_parallel": 2}
    assert parse(Request, {"sampler": asked}).sampler == VllmSampling(tensor_parallel=2)


def test_the_address_is_kept_without_a_slash_at_its_end() -> None:
    assert EndpointSampling(base_url=URL + "/").base_url == URL


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kind": "vlm"}, r"unknown kind 'vlm'\. Did you mean 'vllm'\?"),
        ({"kind": "local", "tensor_parallel": 2}, "no such setting; another sampler has"),
        ({"kind": "endpoint"}, r"sampler\.base_url"),
        ({"kind": "endpoint", "base_url": "localhost:8000"}, r"sampler\.base_url"),
        ({"kind": "endpoint", "base_url": URL, "api_key_env": "sk-abc123"}, r"sampler\.api_key_env"),
        ({"kind": "endpoint", "base_url": URL, "api": "chat", "prompt": "ids"}, "api=chat sends messages"),
        ({"kind": "endpoint", "base_url": URL, "body": {"top_p": 0.9}}, r"body=\['top_p'\] would override"),
        ({"kind": "endpoint", "base_url": URL, "concurrency": 0}, r"sampler\.concurrency"),
        ({"kind": "vllm", "gpu_memory_utilization": 1.5}, r"sampler\.gpu_memory_utilization"),
    ],
)
def test_what_contradicts_or_cannot_be_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        parse(Request, {"sampler": values})


def test_settings_and_samplers_import_nothing_heavy() -> None:
    heavy = "('torch', 'transformers', 'vllm', 'httpx', 'pandas', 'pyarrow')"
    code = (
        "import sys, eval.samplers.settings, eval.samplers.build, eval.samplers.endpoint;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
