"""Samples by vLLM's offline engine, which is imported when a sampler is made.

Axes: B rows (one sample each).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eval.sampler import Decoder, Decoding, Response, SamplingError, must_fit, token_ids
from eval.samplers.wire import seed_of
from prefix_rft.errors import SettingsError, TrainingError

if TYPE_CHECKING:
    from eval.models import Model
    from eval.prompts import Prompt
    from eval.samplers.settings import VllmSampling


@dataclass(frozen=True, slots=True)
class Written:
    """One row as the engine wrote it."""

    ids: tuple[int, ...]
    """New tokens, end-of-sequence token included."""
    finished: bool
    """Whether it ended by itself."""
    logprobs: tuple[float, ...]
    """Log-probabilities of the new tokens at temperature 1 and top_p 1; empty unless asked for."""


class VllmSampler:
    """Samples of vLLM's engine in this process.

    Every row is a request of its own with its own seed; rows of one question share their prompt's cache. Whether a
    row's bits depend on its neighbours is the engine's affair: in float32 on a CPU they do not; on GPUs set vLLM's
    VLLM_BATCH_INVARIANT=1 where that matters.
    """

    name = "vllm"

    def __init__(
        self, engine: Any, decoder: Decoder, *, subject: str, dtype: str, batch: int, devices: int = 1
    ) -> None:
        """Wrap an engine (`load` makes one).

        Args:
            engine: a `vllm.LLM` without tokenizer.
            decoder: ids to text.
            subject: whose samples these are.
            dtype: precision of the weights, for the protocol.
            batch: rows handed over together.
            devices: that share the weights, for the protocol.
        """
        self.subject = subject
        self.batch = batch
        shared = f", {devices} devices" if devices > 1 else ""
        self.version = (
            f"vllm {_vllm().__version__.partition('+')[0]}, torch {_torch_version()}, {dtype}{shared}"
        )
        self._engine = engine
        self._decoder = decoder
        self._stop_ids = _stop_ids(engine)
        self.context_length = int(engine.model_config.max_model_len)

    @classmethod
    def load(cls, settings: VllmSampling, model: Model, decoder: Decoder) -> VllmSampler:
        """Start an engine.

        Raises:
            SettingsError: vLLM is not installed.
            TrainingError: vLLM cannot load the model; its own message is kept.
        """
        # With the engine in this process its schedule is reproducible, and a kill leaves no other process behind.
        if settings.tensor_parallel == 1:
            os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        llm = _vllm().LLM
        try:
            engine = llm(
                model=str(model.source),
                revision=model.revision,
                trust_remote_code=model.trust_remote_code,
                skip_tokenizer_init=True,
                dtype=settings.dtype,
                tensor_parallel_size=settings.tensor_parallel,
                gpu_memory_utilization=settings.gpu_memory_utilization,
                max_model_len=settings.max_model_len,
                max_num_seqs=settings.max_num_seqs,
                enforce_eager=settings.enforce_eager,
            )
        except (ValueError, RuntimeError, OSError, ImportError, NotImplementedError) as error:
            raise TrainingError(f"vLLM cannot load {model.source}: {error}") from error
        return cls(
            engine,
            decoder,
            subject=model.subject,
            dtype=settings.dtype,
            batch=settings.batch,
            devices=settings.tensor_parallel,
        )

    def sample(
        self, prompts: Sequence[Prompt], key_B: NDArray[np.uint64], decoding: Decoding
    ) -> list[Response]:
        """One response to each prompt, in order.

        Raises:
            SettingsError: a prompt has no token ids, or does not fit the context with the longest response.
        """
        rows = token_ids(prompts)
        must_fit(rows, decoding.max_new, self.context_length)
        return [
            Response(self._decoder.decode(row.ids), len(row.ids), row.finished)
            for row in self.write(rows, key_B, decoding)
        ]

    def write(
        self,
        rows: Sequence[Sequence[int]],
        key_B: NDArray[np.uint64],
        decoding: Decoding,
        *,
        logprobs: bool = False,
    ) -> list[Written]:
        """The tokens of one response to each row of token ids, in order.

        Args:
            rows: prompts.
            key_B: one key a row.
            decoding: how tokens are chosen.
            logprobs: whether to give the tokens' log-probabilities too.

        Raises:
            SamplingError: the engine failed; its own message is kept.
        """
        asked = [{"prompt_token_ids": list(row)} for row in rows]
        parameters = [self._parameters(int(key), decoding, logprobs) for key in key_B]
        try:
            outputs = self._engine.generate(asked, parameters, use_tqdm=False)
        except (RuntimeError, ValueError) as error:
            raise SamplingError(f"vLLM failed: {error}") from error
        return [_written(output.outputs[0], logprobs) for output in outputs]

    def close(self) -> None:
        """End the engine and its processes; the sampler is of no use afterwards."""
        self._engine.llm_engine.engine_core.shutdown()

    def _parameters(self, key: int, decoding: Decoding, logprobs: bool) -> Any:
        return _vllm().SamplingParams(
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            max_tokens=decoding.max_new,
            seed=seed_of(key),
            stop_token_ids=self._stop_ids,
            detokenize=False,
            logprobs=0 if logprobs else None,
        )


def _written(output: Any, logprobs: bool) -> Written:
    ids = tuple(output.token_ids)
    chosen = (
        [step[token].logprob for step, token in zip(output.logprobs, ids, strict=True)] if logprobs else []
    )
    return Written(ids, output.finish_reason == "stop", tuple(chosen))


def _stop_ids(engine: Any) -> list[int]:
    from prefix_rft.local.convert import stop_ids

    config = engine.model_config
    return list(stop_ids(config.hf_config.to_dict(), config.try_get_generation_config()))


def _torch_version() -> str:
    return version("torch").partition("+")[0]


def _vllm() -> Any:
    try:
        return importlib.import_module("vllm")
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise
        raise SettingsError(
            "sampler.kind=vllm needs vLLM, which is not installed here. With a GPU: `pip install vllm` into this "
            "environment. Without one: `make vllm`, then `.venv-vllm/bin/prefix-rft eval ...`. Or start a server "
            "elsewhere and use sampler.kind=endpoint (docs/samplers.md)."
        ) from None
