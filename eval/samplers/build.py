"""A sampler from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from eval.sampler import Decoder, LocalSampler, Sampler, local_version
from eval.samplers.settings import (
    EndpointSampling,
    LocalSampling,
    SamplerSettings,
    TransformersSampling,
    VllmSampling,
)
from prefix_rft.data.encode import load_encoder
from prefix_rft.errors import TrainingError
from prefix_rft.settings.backend import LocalBackend

if TYPE_CHECKING:
    from eval.models import Model


def build(settings: SamplerSettings, model: Model, decoder: Decoder | None = None) -> Sampler:
    """The sampler that the settings describe, ready to write.

    Args:
        settings: which, and how.
        model: whose samples; an endpoint serves it already.
        decoder: ids to text; by default the tokenizer of the model. Endpoints need none.

    Raises:
        SettingsError: what the sampler needs is not installed, or a server serves another model.
        DataError: the model has no tokenizer.
        TrainingError: the device or the model is not to be had.
        SamplingError: a server does not answer.
    """
    if isinstance(settings, EndpointSampling):
        from eval.samplers.endpoint import EndpointSampler

        return EndpointSampler.connect(settings, model.subject)
    decoder = decoder or load_encoder(model.source, model.template, model.revision, model.trust_remote_code)
    if isinstance(settings, VllmSampling):
        from eval.samplers.vllm_sampler import VllmSampler

        return VllmSampler.load(settings, model, decoder)
    return _in_this_process(settings, model, decoder)


def _in_this_process(
    settings: LocalSampling | TransformersSampling, model: Model, decoder: Decoder
) -> LocalSampler:
    """Both kinds decode with the same keyed numbers; only the code that runs the model differs."""
    from prefix_rft.local.policy import load_policy

    fast_path: Literal["auto", "on", "off"] = "off"
    version = f"{local_version()}, {settings.dtype}"
    if isinstance(settings, LocalSampling):
        fast_path = settings.fast_path
        # Runs evaluate themselves in float32 and do not say so.
        version = local_version() if settings.dtype == "float32" else version
    device = settings.device.partition(":")[0]
    if device != "cpu":
        version = f"{version}, {device}"
    backend = LocalBackend(
        device=settings.device,
        dtype=settings.dtype,
        fast_path=fast_path,
        generation_batch=settings.batch,
    )
    try:
        policy = load_policy(model.source, backend, model.revision, model.trust_remote_code)
    except TrainingError as error:
        raise TrainingError(str(error).replace("backend.", "sampler.")) from error
    return LocalSampler(
        policy, decoder, subject=model.subject, batch=settings.batch, name=settings.kind, version=version
    )
