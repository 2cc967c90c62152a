"""One run's whole configuration."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from prefix_rft.settings.backend import BackendSettings, LocalBackend, VerlBackend
from prefix_rft.settings.base import Settings
from prefix_rft.settings.data import ChainData, DataSettings
from prefix_rft.settings.evaluation import EvaluationSettings
from prefix_rft.settings.method import DrPoMethod, MethodSettings, PrefixRftMethod, phases
from prefix_rft.settings.model import ModelSettings, ScratchModel, TinyModel
from prefix_rft.settings.optimisation import OptimisationSettings
from prefix_rft.settings.tracking import LauncherSettings, TrackingSettings
from prefix_rft.settings.verl import not_honoured


class RunConfig(Settings):
    """Everything that a run needs; what can change its numbers makes its identity."""

    method: MethodSettings
    """The training method."""
    model: ModelSettings
    """What training starts from."""
    data: DataSettings
    """Questions and demonstrations."""
    optimisation: OptimisationSettings = OptimisationSettings()
    """Optimizer and loss."""
    backend: BackendSettings = LocalBackend()
    """Where it runs."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """What is measured afterwards."""
    tracking: TrackingSettings = TrackingSettings()
    """The mirror to W&B."""
    launcher: LauncherSettings = LauncherSettings()
    """Processes on this machine."""
    seed: int = Field(0, ge=0)
    """Training seed: data order, prefix draws, sampling."""
    scale: str = "toy"
    """Name of the scale the configuration was composed at."""
    sweep: str | None = None
    """Name of the sweep this run was asked for by."""
    store: str = "runs"
    """Folder that holds the runs."""

    @model_validator(mode="after")
    def parts_agree(self) -> Self:
        _model_speaks_the_data(self)
        _skipping_rows_is_exact(self)
        _verl_honours_it(self)
        _prefix_fits(self)
        return self


def _model_speaks_the_data(config: RunConfig) -> None:
    chain = isinstance(config.data, ChainData)
    if isinstance(config.model, TinyModel) and not chain:
        raise ValueError(
            f"model.kind=tiny speaks only the embedded task (data.kind=chain), not data.kind={config.data.kind}; "
            "use model=scratch or model=pretrained model.path=..."
        )
    if isinstance(config.model, ScratchModel) and chain:
        raise ValueError(
            "model.kind=scratch builds its tokenizer from files; for data.kind=chain use model=tiny"
        )
    if isinstance(config.model, TinyModel | ScratchModel):
        room = config.model.architecture.max_positions
        need = config.data.max_prompt_tokens + config.data.max_response_tokens
        if need > room:
            raise ValueError(
                f"data.max_prompt_tokens + data.max_response_tokens = {need} exceeds "
                f"model.architecture.max_positions={room}"
            )


def _skipping_rows_is_exact(config: RunConfig) -> None:
    backend = config.backend
    if not isinstance(backend, LocalBackend):
        return
    if backend.skip_zero_weight_rows and config.optimisation.rl.entropy_coefficient > 0:
        raise ValueError(
            "backend.skip_zero_weight_rows=true drops rows that the entropy bonus "
            f"(optimisation.rl.entropy_coefficient={config.optimisation.rl.entropy_coefficient}) still needs; "
            "set one of them off"
        )


def _verl_honours_it(config: RunConfig) -> None:
    backend, data = config.backend, config.data
    if isinstance(backend, VerlBackend):
        longest = data.max_prompt_tokens + data.max_response_tokens
        if backend.micro_batch_tokens < longest:
            raise ValueError(
                f"backend.micro_batch_tokens={backend.micro_batch_tokens} must hold one whole sequence: "
                f"data.max_prompt_tokens + data.max_response_tokens = {longest}"
            )
        refused = not_honoured(config.optimisation, phases(config.method))
        if refused:
            raise ValueError("backend.kind=verl cannot do what is asked: " + "; ".join(refused))


def _prefix_fits(config: RunConfig) -> None:
    method = config.method
    if not isinstance(method, PrefixRftMethod | DrPoMethod):
        return
    if method.min_prefix_tokens >= config.data.max_response_tokens:
        raise ValueError(
            f"method.min_prefix_tokens={method.min_prefix_tokens} leaves nothing to write within "
            f"data.max_response_tokens={config.data.max_response_tokens}"
        )
