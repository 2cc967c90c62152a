"""Whether the installed verl is the one this integration was written for: versions, and every name it leans on.

Methods of verl's are overridden and private names used, which a new release may change without a word; so they are
compared here before anything starts. docs/verl.md says how to move to another release.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from inspect import Parameter
from typing import Any

from prefix_rft.errors import TrainingError
from prefix_rft.settings import VerlBackend

INSTALL = "pip install 'prefix-rft[verl]' -c requirements/lock.txt"
VERSIONS: dict[str, tuple[str, str]] = {
    "verl": ("0.9.1", "methods of its trainer are overridden"),
    "hydra-core": ("1.3", "1.4 refuses verl's own configuration files"),
    "tensordict": ("0.10.0", "the only release that both verl and TransferQueue accept"),
    "TransferQueue": ("0", "verl's trainer imports it, and does not ask for it"),
    "ray": ("2", "verl runs on it"),
}
"""What an installed version must begin with, and why."""


@dataclass(frozen=True)
class Seam:
    """A name of verl's that we override or call."""

    name: str
    """`module:qualified.name`."""
    signature: str | None
    """Parameters and defaults, annotations left out; None: only that the name exists."""
    used_for: str
    """What breaks without it."""


_TRAINER = "verl.trainer.ppo.v1.trainer_base:PPOTrainer"
SEAMS: tuple[Seam, ...] = (
    Seam(f"{_TRAINER}.__init__", "(self, config)", "the trainer is made"),
    Seam(f"{_TRAINER}.init", "(self)", "workers and engines start"),
    Seam(f"{_TRAINER}._setup", "(self)", "our loss is installed once the workers stand"),
    Seam(f"{_TRAINER}._load_checkpoint", "(self)", "resumption from our store"),
    Seam(f"{_TRAINER}.get_reward_handles", "(self)", "responses are graded by our pool"),
    Seam(f"{_TRAINER}._next_train_batch", "(self, num_prompts=None)", "questions come in our order"),
    Seam(f"{_TRAINER}._submit_batch_to_rollout", "(self, batch)", "the agent loops get them"),
    Seam(f"{_TRAINER}.step", "(self, metrics, timing_raw)", "one rollout step"),
    Seam(
        f"{_TRAINER}._step_once",
        "(self, metrics, timing_raw, sample_batch_size)",
        "grading, weights, mini-batches",
    ),
    Seam(
        f"{_TRAINER}._compute_old_log_prob", "(self, batch, metrics)", "old log-probabilities and entropies"
    ),
    Seam(
        f"{_TRAINER}._compute_metrics",
        "(self, batch, metrics, timing_raw, global_steps, epoch)",
        "verl's own metrics",
    ),
    Seam(f"{_TRAINER}._save_checkpoint", "(self)", "checkpoints in our store"),
    Seam(f"{_TRAINER}._validate", "(self)", "the look at validation"),
    Seam(f"{_TRAINER}.fit", "(self, agent_loop_manager)", "the loop over rollout steps"),
    Seam("verl.trainer.ppo.v1.trainer_sync:PPOTrainerSync.on_step_end", "(self)", "weights are synchronised"),
    Seam("verl.trainer.ppo.v1.trainer_sync:PPOTrainerSync.on_sample_end", "(self)", "engines make room"),
    Seam(
        "verl.trainer.ppo.v1.replay_buffer:ReplayBuffer.sample",
        "(self, global_steps, partition_id, batch_size)",
        "finished responses are collected",
    ),
    Seam("verl.trainer.ppo.v1:AgentLoopManagerTQ.create", None, "agent loops are started"),
    Seam(
        "verl.experimental.agent_loop.agent_loop:AgentLoopBase.run",
        "(self, sampling_params, **kwargs)",
        "rollouts start from prefixes",
    ),
    Seam(
        "verl.trainer.ppo.padding_utils:upsample_batch_to_divisible_size",
        "(batch, batch_multiple, eos_token_id)",
        "fillers",
    ),
    Seam(
        "verl.utils.seqlen_balancing:get_seqlen_balanced_partitions",
        "(seqlen_list, k_partitions, equal_size)",
        "workers get equal work",
    ),
    Seam("verl.utils.seqlen_balancing:calculate_workload", "(seqlen_list)", "workers get equal work"),
    Seam("verl.workers.engine_workers:ActorRolloutRefWorker.set_loss_fn", "(self, loss_fn)", "our loss"),
    Seam(
        "verl.workers.engine_workers:ActorRolloutRefWorker.compute_log_prob",
        "(self, data)",
        "entropies between optimizer steps (entropy_of=current)",
    ),
    Seam(
        "verl.workers.utils.padding:response_from_nested",
        "(tensor, response_mask)",
        "the same",
    ),
    Seam(
        "verl.workers.engine_workers:ActorRolloutRefWorker.update_actor",
        "(self, data)",
        "one optimizer step for each mini-batch",
    ),
    Seam(
        "verl.workers.engine_workers:ActorRolloutRefWorker.save_checkpoint",
        "(self, local_path, hdfs_path=None, global_step=0, max_ckpt_to_keep=None)",
        "shards in our checkpoints",
    ),
    Seam(
        "verl.workers.engine_workers:ActorRolloutRefWorker.load_checkpoint",
        "(self, local_path, hdfs_path=None, del_local_after_load=False)",
        "resumption from our store",
    ),
    Seam(
        "verl.workers.engine_workers:ActorRolloutRefWorker.actor_worker_cls",
        None,
        "a second optimizer (ReLIFT)",
    ),
    Seam(f"{_TRAINER}._init_resource_pool_mgr", "(self)", "the same"),
    Seam(
        "verl.workers.engine_workers:TrainingWorker.train_mini_batch",
        "(self, data)",
        "one optimizer step for each mini-batch",
    ),
    Seam(
        "verl.workers.config.optimizer:build_optimizer",
        "(parameters, config)",
        "our course of the learning rate",
    ),
    Seam(
        "verl.workers.utils.padding:no_padding_2_padding",
        "(tensor, data)",
        "log-probabilities meet their tokens in the loss",
    ),
    Seam("verl.utils.import_utils:is_trl_available", "()", "verl works where TRL is installed too"),
    Seam(
        "verl.trainer.constants_ppo:get_ppo_ray_runtime_env",
        "(config=None)",
        "what Ray's processes find in their environment",
    ),
)
"""To add a name: a row here, with the signature that the error message shows."""


def check_verl(seams: Sequence[Seam] = SEAMS) -> None:
    """Compare versions and signatures with those this integration was written for.

    Raises:
        TrainingError: a package is missing or of another version; or a name is gone or has another signature.
    """
    check_versions()
    different = [message for seam in seams if (message := _difference(seam))]
    if different:
        raise TrainingError(
            "verl is not as this integration expects it:\n  "
            + "\n  ".join(different)
            + f"\nInstall the pinned release ({INSTALL}), or adapt prefix_rft/verl_backend (docs/verl.md, Upgrading)"
        )


def check_versions() -> None:
    """Compare the versions only, which imports nothing.

    Raises:
        TrainingError: a package is missing or of another version.
    """
    if installed("verl") is None:
        raise TrainingError(f"backend=verl needs verl, which is not installed: {INSTALL}")
    wrong = [
        f"{package} {installed(package) or 'is missing'}, but {wanted} is needed: {why}"
        for package, (wanted, why) in VERSIONS.items()
        if not _begins(installed(package), wanted)
    ]
    if wrong:
        raise TrainingError("backend=verl: " + "; ".join(wrong) + f". Install what fits: {INSTALL}")


def check_devices(backend: VerlBackend) -> None:
    """Refuse GPUs that this machine has not; those of a cluster that runs already are left to Ray.

    Raises:
        TrainingError: there are fewer than a cluster of our own would need.
    """
    import torch

    found = torch.cuda.device_count()
    if backend.device == "cuda" and backend.ray_address == "local" and found < backend.devices_per_node:
        raise TrainingError(
            f"backend.devices_per_node={backend.devices_per_node}: PyTorch sees {found} CUDA devices on this machine. "
            "Lower it, set backend.ray_address to a cluster that has them, or take backend=verl_cpu (tests) or "
            "backend=local"
        )


def installed(package: str) -> str | None:
    """Version of an installed package, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def signature_of(found: Any) -> str:
    """Parameters of a function and their defaults, without annotations."""
    parameters = [
        parameter.replace(annotation=Parameter.empty)
        for parameter in inspect.signature(found).parameters.values()
        if parameter.name != "_ray_trace_ctx"  # Ray adds it to methods of actors
    ]
    return str(inspect.Signature(parameters))


def _begins(found: str | None, wanted: str) -> bool:
    """Whether a version is `wanted` as far as that goes: 1.3.8 is 1.3, and 1.30 is not; 0 takes every version."""
    if found is None or wanted == "0":
        return found is not None
    parts = wanted.split(".")
    return found.split("+")[0].split(".")[: len(parts)] == parts


def _difference(seam: Seam) -> str | None:
    module, _, path = seam.name.partition(":")
    try:
        found = reduce(getattr, path.split("."), import_module(module))
    except (ImportError, AttributeError) as error:
        return f"{seam.name} ({seam.used_for}) cannot be had: {error}"
    if seam.signature is None:
        return None
    given = signature_of(found)
    if given == seam.signature:
        return None
    return f"{seam.name} ({seam.used_for}): expected {seam.signature}, found {given}"
