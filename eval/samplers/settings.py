"""Settings of the samplers, one class a kind; imports without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from prefix_rft.settings.base import Settings

DECIDED = frozenset(
    (
        "model",
        "prompt",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "n",
        "seed",
        "stream",
    )
)
"""Fields of a request that the protocol, the key or this sampler decides."""


class LocalSampling(Settings):
    """The suite's own decoding in this process, as runs evaluate themselves; small models take the rewritten path."""

    kind: Literal["local"] = "local"
    device: str = "cpu"
    """A PyTorch device: cpu, cuda, cuda:1."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the weights."""
    batch: int = Field(512, ge=1)
    """Most rows decoded together, and rows in one write to the disk."""
    fast_path: Literal["auto", "on", "off"] = "auto"
    """The rewritten small-model path: where the architecture allows, always (or refuse), never."""


class TransformersSampling(Settings):
    """Any causal language model of `transformers` in this process, through the library's own model code."""

    kind: Literal["transformers"] = "transformers"
    device: str = "cpu"
    """A PyTorch device: cpu, cuda, cuda:1."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """Precision of the weights."""
    batch: int = Field(64, ge=1)
    """Most rows decoded together, and rows in one write to the disk."""


class VllmSampling(Settings):
    """vLLM's offline engine in this process; vLLM must be installed (docs/samplers.md)."""

    kind: Literal["vllm"] = "vllm"
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Precision of the weights."""
    tensor_parallel: int = Field(1, ge=1)
    """Devices that share one copy of the weights."""
    gpu_memory_utilization: float = Field(0.9, gt=0, lt=1)
    """Share of a GPU's memory for weights and cache; on a CPU the variable VLLM_CPU_KVCACHE_SPACE (GiB) counts."""
    max_model_len: int | None = Field(None, ge=1)
    """Most tokens of prompt and response together; null takes the model's own limit."""
    max_num_seqs: int = Field(256, ge=1)
    """Most rows that the engine decodes at once."""
    enforce_eager: bool = False
    """Neither compile nor capture graphs: a faster start, slower decoding."""
    batch: int = Field(1024, ge=1)
    """Rows handed to the engine together, and rows in one write to the disk; several times `max_num_seqs`."""


class EndpointSampling(Settings):
    """A server with an interface like OpenAI's: vLLM, SGLang, or a provider."""

    kind: Literal["endpoint"] = "endpoint"
    base_url: str = Field(pattern=r"^https?://\S+$")
    """Address up to and with the version, e.g. http://localhost:8000/v1."""
    model: str | None = Field(None, min_length=1)
    """The server's name of the model; null takes the only one that it serves."""
    api: Literal["completions", "chat"] = "completions"
    """completions continues the prompt as the protocol renders it; chat sends messages, and the server's template
    renders them."""
    prompt: Literal["ids", "text"] = "ids"
    """What completions sends: token ids of the model's tokenizer here, or text for the server's."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """Name of the environment variable that holds the key, never the key; null sends none."""
    server: str | None = Field(None, min_length=1)
    """The server's software for the protocol, e.g. `sglang 0.5.4`; null asks the server, as vLLM and SGLang allow."""
    seeds: bool = True
    """Give every request its own seed; false for servers that refuse it: samples made again are then others."""
    body: dict[str, Any] = Field(default_factory=dict)
    """More fields of every request, for servers with settings of their own; they count in the protocol."""
    concurrency: int = Field(32, ge=1, le=1024)
    """Requests under way at once."""
    retries: int = Field(5, ge=0)
    """Times a request is repeated after a fault that may pass: status 408, 425, 429 or 5xx, a time-out, a lost
    connection, a reply that is not whole."""
    backoff_seconds: float = Field(1.0, ge=0)
    """Wait before the first repetition; doubled each time up to a minute, and varied by half. The server's Retry-After
    goes before it."""
    timeout_seconds: float = Field(600.0, gt=0)
    """Longest a request may take from its start to the last byte of the reply."""
    batch: int = Field(64, ge=1)
    """Samples in one write to the disk; what has come is also written every half minute."""

    @field_validator("base_url")
    @classmethod
    def without_slash(cls, value: str) -> str:
        """The slash between address and path is put there once."""
        return value.rstrip("/")

    @model_validator(mode="after")
    def holds_no_key(self) -> Self:
        """Settings are written down and shown; the address itself must not appear in the refusal either."""
        if "@" in self.base_url.split("://", 1)[1].split("/", 1)[0]:
            raise ValueError(
                "base_url holds a name or a password, which would be written into every protocol; put the key into an "
                "environment variable and name that in api_key_env"
            )
        return self

    @model_validator(mode="after")
    def sends_what_the_api_takes(self) -> Self:
        """Refuse settings that would be ignored or would change what the protocol says."""
        if self.api == "chat" and "prompt" in self.model_fields_set:
            raise ValueError("api=chat sends messages; prompt=ids or text belongs to api=completions")
        decided = [name for name in self.body if name in DECIDED]
        if decided:
            raise ValueError(f"body={decided} would override what the protocol and the sample's key decide")
        return self


SamplerSettings = Annotated[
    LocalSampling | TransformersSampling | VllmSampling | EndpointSampling, Field(discriminator="kind")
]
