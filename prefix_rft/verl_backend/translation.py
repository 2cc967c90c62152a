"""Our settings in verl's words: one row for every key of verl's configuration that this suite decides or starts from.

A row that names our settings belongs to them: `backend.verl` may not set that key. So do the rows that the integration
itself rests on. The others are starting values, which `backend.verl` may change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefix_rft.errors import SettingsError
from prefix_rft.settings import (
    Aggregation,
    PretrainedModel,
    RlPhase,
    RunConfig,
    SftMethod,
    SftPhase,
    VerlBackend,
)

AGENT_LOOP = "prefix_rft"
"""Name of our agent loop in the file `Files.agent_loop`."""
OPTIMIZER = ("prefix_rft.verl_backend.optimizer", "CourseAdamW")
"""Module and class of the optimizer: AdamW that follows our course of the learning rate."""
SUITE = "the suite itself"
"""Decides a key that the integration rests on."""

AGGREGATIONS: dict[Aggregation, str] = {
    "constant": "seq-mean-token-sum-norm",
    "token_mean": "token-mean",
    "seq_mean_token_mean": "seq-mean-token-mean",
    "seq_mean_token_sum": "seq-mean-token-sum",
}
"""verl's names; its own metrics are aggregated so, the loss by `prefix_rft.objective.token_scale`."""


@dataclass(frozen=True)
class Files:
    """What a run of verl reads and writes, all on a file system that every machine sees."""

    model: Path
    """Folder of the starting model and its tokenizer, Hugging Face layout."""
    train: Path
    """Parquet of the training questions: verl's columns and ours (token ids of prompt and demonstration)."""
    validation: Path | None
    """Parquet of the validation questions, without demonstrations; None: there are none."""
    agent_loop: Path
    """YAML that names our agent loop and its class (`rollout.agent.agent_loop_config_path`)."""
    checkpoints: Path
    """Folder that verl is told for checkpoints; ours go to the run's store (`prefix_rft.verl_backend.checkpoints`)."""
    dataset: str | None = None
    """`<module file>:<class>` of the dataset that reads the parquet files; None takes verl's own."""


@dataclass(frozen=True)
class Row:
    """One key of verl's configuration."""

    key: str
    """Dotted."""
    value: Any
    decided_by: str | None
    """Our settings, joined by ", ", or `SUITE`; None: a starting value."""


@dataclass(frozen=True)
class Asked:
    """The part of a run's settings that verl's configuration is made from."""

    config: RunConfig
    backend: VerlBackend
    phase: RlPhase | SftPhase
    """The method's phase."""
    total_steps: int
    """Rollout steps of the run."""

    @property
    def name(self) -> str:
        """Where the phase's settings stand."""
        return "optimisation.sft" if isinstance(self.phase, SftPhase) else "optimisation.rl"

    @property
    def length(self) -> str:
        """The setting that gives the run its length."""
        return f"{self.name}.epochs" if isinstance(self.phase, SftPhase) else f"{self.name}.steps"

    @property
    def mini_batches(self) -> int:
        """Optimizer steps of a rollout step."""
        return self.phase.mini_batches if isinstance(self.phase, RlPhase) else 1


def rows(config: RunConfig, files: Files, run_id: str, total_steps: int) -> list[Row]:
    """Every key that is set in verl's `ppo_trainer`.

    Args:
        config: the run's settings.
        files: what it reads and writes.
        run_id: its name.
        total_steps: rollout steps; of imitation they depend on the number of demonstrations.

    Raises:
        SettingsError: the configuration names another backend.
    """
    backend = verl_backend(config)
    phase = config.optimisation.sft if isinstance(config.method, SftMethod) else config.optimisation.rl
    asked = Asked(config, backend, phase, total_steps)
    return [
        *_questions(asked, files),
        *_model(asked, files),
        *_actor(asked),
        *_engine(asked),
        *_optimizer(asked),
        *_loss(asked),
        *_rollouts(asked, files),
        *_validation(asked),
        *_trainer(asked, files, run_id),
        *_cluster(backend),
    ]


def verl_backend(config: RunConfig) -> VerlBackend:
    """The backend's settings.

    Raises:
        SettingsError: the configuration names another backend.
    """
    if not isinstance(config.backend, VerlBackend):
        raise SettingsError(f"backend.kind={config.backend.kind} is not verl; set backend=verl")
    return config.backend


def _questions(asked: Asked, files: Files) -> Iterator[Row]:
    data, (dataset, name) = asked.config.data, _dataset(files)
    yield Row("data.train_files", [str(files.train)], SUITE)
    yield Row("data.val_files", [str(files.validation or files.train)], SUITE)
    yield Row("data.train_batch_size", asked.phase.questions_per_step, f"{asked.name}.questions_per_step")
    yield Row("data.max_prompt_length", data.max_prompt_tokens, "data.max_prompt_tokens")
    yield Row("data.max_response_length", data.max_response_tokens, "data.max_response_tokens")
    # The trainer asks for the questions of a step by our own order; verl's loaders only hold them.
    yield Row("data.shuffle", False, SUITE)
    yield Row("data.validation_shuffle", False, SUITE)
    yield Row("data.seed", asked.config.seed, "seed")
    yield Row("data.filter_overlong_prompts", False, SUITE)
    yield Row("data.truncation", "error", SUITE)
    yield Row("data.custom_cls.path", dataset, SUITE)
    yield Row("data.custom_cls.name", name, SUITE)
    yield Row("data.dataloader_num_workers", 0, None)


def _dataset(files: Files) -> tuple[str | None, str | None]:
    if files.dataset is None:
        return None, None
    path, _, name = files.dataset.rpartition(":")
    return path, name


def _model(asked: Asked, files: Files) -> Iterator[Row]:
    at, backend, model = "actor_rollout_ref.model", asked.backend, asked.config.model
    trust = isinstance(model, PretrainedModel) and model.trust_remote_code
    packed = backend.attention == "flash_attention_2"
    recompute = backend.gradient_checkpointing
    yield Row(f"{at}.path", str(files.model), "model.path")
    yield Row(f"{at}.trust_remote_code", trust, "model.trust_remote_code")
    yield Row(f"{at}.external_lib", backend.plugin, "backend.plugin")
    yield Row(f"{at}.use_remove_padding", packed, "backend.attention")
    yield Row(f"{at}.override_config.attn_implementation", backend.attention, "backend.attention")
    yield Row(f"{at}.enable_gradient_checkpointing", recompute, "backend.gradient_checkpointing")


def _actor(asked: Asked) -> Iterator[Row]:
    at, phase = "actor_rollout_ref.actor", asked.phase
    mini = f"{asked.name}.questions_per_step"
    if isinstance(phase, RlPhase):
        mini += f", {asked.name}.mini_batches"
    yield Row(f"{at}.strategy", "fsdp2", SUITE)
    yield Row(f"{at}.checkpoint.save_contents", ["model", "optimizer", "extra", "hf_model"], SUITE)
    yield Row(f"{at}.checkpoint.load_contents", ["model", "optimizer", "extra"], SUITE)
    yield Row(f"{at}.use_torch_compile", asked.backend.device == "cuda", None)
    # Whole questions: the trainer hands over one mini-batch at a time.
    yield Row(f"{at}.ppo_mini_batch_size", phase.questions_per_step // asked.mini_batches, mini)
    yield Row(f"{at}.ppo_epochs", 1, SUITE)
    yield Row(f"{at}.shuffle", False, SUITE)
    yield Row(f"{at}.data_loader_seed", asked.config.seed, "seed")
    yield Row(f"{at}.use_dynamic_bsz", True, SUITE)
    yield Row(
        f"{at}.ppo_max_token_len_per_gpu", asked.backend.micro_batch_tokens, "backend.micro_batch_tokens"
    )


def _engine(asked: Asked) -> Iterator[Row]:
    at, backend = "actor_rollout_ref.actor.fsdp_config", asked.backend
    short = {"bfloat16": "bf16", "float32": "fp32"}[backend.dtype]
    yield Row(f"{at}.model_dtype", "fp32", SUITE)
    yield Row(f"{at}.dtype", backend.dtype, "backend.dtype")
    yield Row(f"{at}.mixed_precision.param_dtype", short, "backend.dtype")
    yield Row(f"{at}.mixed_precision.reduce_dtype", "fp32", SUITE)
    yield Row(f"{at}.mixed_precision.buffer_dtype", "fp32", SUITE)
    yield Row(f"{at}.param_offload", backend.offload, "backend.offload")
    yield Row(f"{at}.optimizer_offload", backend.offload, "backend.offload")
    yield Row(f"{at}.use_torch_compile", backend.device == "cuda", None)
    yield Row(f"{at}.seed", asked.config.seed, "seed")


def _optimizer(asked: Asked) -> Iterator[Row]:
    """verl's scheduler would go by rollout steps and begin at 0; it stands still, the optimizer follows our course."""
    at, phase, ours = "actor_rollout_ref.actor.optim", asked.phase, asked.name
    steps = asked.length if isinstance(phase, SftPhase) else f"{asked.length}, {ours}.mini_batches"
    course = {
        "decay": phase.decay,
        "final_share": phase.final_share,
        "warmup_fraction": phase.warmup_fraction,
        "updates": asked.total_steps * asked.mini_batches,
    }
    shape = f"{ours}.decay, {ours}.final_share, {ours}.warmup_fraction, {steps}"
    yield Row(f"{at}.optimizer_impl", OPTIMIZER[0], SUITE)
    yield Row(f"{at}.optimizer", OPTIMIZER[1], SUITE)
    yield Row(f"{at}.override_optimizer_config", course, shape)
    yield Row(f"{at}.lr", phase.learning_rate, f"{ours}.learning_rate")
    yield Row(f"{at}.lr_scheduler_type", "constant", f"{ours}.decay")
    yield Row(f"{at}.lr_warmup_steps", -1, f"{ours}.warmup_fraction")
    yield Row(f"{at}.lr_warmup_steps_ratio", 0.0, f"{ours}.warmup_fraction")
    yield Row(f"{at}.min_lr_ratio", 0.0, f"{ours}.final_share")
    yield Row(f"{at}.weight_decay", phase.weight_decay, f"{ours}.weight_decay")
    yield Row(f"{at}.betas", [phase.beta1, phase.beta2], f"{ours}.beta1, {ours}.beta2")
    yield Row(f"{at}.clip_grad", phase.max_grad_norm, f"{ours}.max_grad_norm")
    yield Row("actor_rollout_ref.actor.grad_clip", phase.max_grad_norm, f"{ours}.max_grad_norm")


def _loss(asked: Asked) -> Iterator[Row]:
    """Our own loss takes the place of verl's; verl is told the same numbers, for its own metrics."""
    at, rl = "actor_rollout_ref.actor", asked.config.optimisation.rl
    divides = getattr(asked.config.method, "divide_by_std", False)
    yield Row(f"{at}.loss_agg_mode", AGGREGATIONS[asked.phase.aggregation], f"{asked.name}.aggregation")
    yield Row(f"{at}.loss_scale_factor", asked.config.data.max_response_tokens, "data.max_response_tokens")
    yield Row(f"{at}.clip_ratio", rl.clip_low, "optimisation.rl.clip_low")
    yield Row(f"{at}.clip_ratio_low", rl.clip_low, "optimisation.rl.clip_low")
    yield Row(f"{at}.clip_ratio_high", rl.clip_high, "optimisation.rl.clip_high")
    yield Row(f"{at}.clip_ratio_c", rl.dual_clip, "optimisation.rl.dual_clip")
    yield Row(f"{at}.entropy_coeff", rl.entropy_coefficient, "optimisation.rl.entropy_coefficient")
    yield Row(f"{at}.use_kl_loss", False, SUITE)
    yield Row("algorithm.use_kl_in_reward", False, SUITE)
    yield Row("algorithm.adv_estimator", "grpo", SUITE)
    yield Row("algorithm.norm_adv_by_std_in_grpo", divides, "method.divide_by_std")
    yield Row("reward.num_workers", 0, SUITE)  # responses are graded by our own pool


def _rollouts(asked: Asked, files: Files) -> Iterator[Row]:
    at, backend, config = "actor_rollout_ref.rollout", asked.backend, asked.config
    memory = backend.gpu_memory_utilization
    yield Row(f"{at}.name", backend.engine, "backend.engine")
    yield Row(f"{at}.n", getattr(config.method, "rollouts", 1), "method.rollouts")
    if isinstance(asked.phase, RlPhase):
        yield Row(f"{at}.temperature", asked.phase.temperature, "optimisation.rl.temperature")
    yield Row(f"{at}.top_p", 1.0, SUITE)
    yield Row(f"{at}.top_k", -1, SUITE)
    yield Row(f"{at}.do_sample", True, SUITE)
    yield Row(f"{at}.seed", config.seed, "seed")
    yield Row(f"{at}.dtype", backend.dtype, "backend.dtype")
    yield Row(f"{at}.tensor_model_parallel_size", backend.tensor_parallel, "backend.tensor_parallel")
    yield Row(f"{at}.gpu_memory_utilization", memory, "backend.gpu_memory_utilization")
    # An imitated prefix has no log-probability of the engine; the actor computes those of all tokens.
    yield Row(f"{at}.calculate_log_probs", False, SUITE)
    yield Row(f"{at}.max_model_len", config.data.max_prompt_tokens + config.data.max_response_tokens, None)
    yield Row(f"{at}.agent.num_workers", backend.agent_workers, "backend.agent_workers")
    yield Row(f"{at}.agent.default_agent_loop", AGENT_LOOP, SUITE)
    yield Row(f"{at}.agent.agent_loop_config_path", str(files.agent_loop), SUITE)


def _validation(asked: Asked) -> Iterator[Row]:
    at, look = "actor_rollout_ref.rollout.val_kwargs", asked.config.evaluation.validation
    yield Row(f"{at}.n", look.samples, "evaluation.validation.samples")
    yield Row(f"{at}.temperature", look.temperature, "evaluation.validation.temperature")
    yield Row(f"{at}.do_sample", look.temperature > 0, "evaluation.validation.temperature")
    yield Row(f"{at}.top_p", 1.0, SUITE)
    yield Row(f"{at}.top_k", -1, SUITE)


def _trainer(asked: Asked, files: Files, run_id: str) -> Iterator[Row]:
    config, backend, phase, ours, steps = (
        asked.config,
        asked.backend,
        asked.phase,
        asked.name,
        asked.total_steps,
    )
    looks = (phase.validate_every or steps) if files.validation else -1
    yield Row("trainer.use_v1", True, SUITE)
    yield Row("trainer.v1.trainer_mode", "sync", SUITE)
    yield Row("trainer.total_training_steps", steps, asked.length)
    yield Row("trainer.total_epochs", steps, asked.length)  # an epoch has one step at least
    # The trainer keeps to our settings itself; 0 looks and saves at the end only, which verl's words cannot say.
    yield Row(
        "trainer.save_freq", phase.checkpoint_every or steps, f"{ours}.checkpoint_every, {asked.length}"
    )
    yield Row("trainer.test_freq", looks, f"{ours}.validate_every, {asked.length}")
    yield Row("trainer.val_before_train", False, SUITE)
    yield Row("trainer.max_actor_ckpt_to_keep", backend.keep_checkpoints, "backend.keep_checkpoints")
    yield Row("trainer.default_local_dir", str(files.checkpoints), SUITE)
    yield Row("trainer.resume_mode", "disable", SUITE)
    yield Row("trainer.project_name", config.tracking.project, "tracking.project")
    yield Row("trainer.experiment_name", run_id, SUITE)
    yield Row("trainer.logger", [], SUITE)  # metrics.jsonl is the record, and mirrored from there
    yield Row("trainer.device", backend.device, "backend.device")
    yield Row("trainer.nnodes", backend.nodes, "backend.nodes")
    yield Row("trainer.n_gpus_per_node", backend.devices_per_node, "backend.devices_per_node")


def _cluster(backend: VerlBackend) -> Iterator[Row]:
    at, storage = "ray_kwargs.ray_init", "transfer_queue.backend.SimpleStorage"
    yield Row(f"{at}.address", backend.ray_address, "backend.ray_address")
    yield Row(f"{at}.include_dashboard", False, SUITE)
    if backend.ray_address == "local":
        yield Row(f"{at}.num_cpus", backend.ray_cpus, "backend.ray_cpus")
        if backend.device == "cpu":
            # verl counts its workers in GPUs; on a CPU they are slots in name only.
            yield Row(f"{at}.num_gpus", backend.devices_per_node, "backend.devices_per_node")
    yield Row("transfer_queue.enable", True, SUITE)
    yield Row(f"{storage}.num_data_storage_units", min(8, backend.devices_per_node), None)
