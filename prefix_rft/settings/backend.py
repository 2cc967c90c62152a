"""Settings of where and how the computation runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from prefix_rft.settings.base import Settings

TEST_PLUGIN = "prefix_rft.verl_backend.testing"
"""The package that lets verl run on a CPU, for tests and first steps on a laptop."""


class LocalBackend(Settings):
    """The embedded trainer: one process, one device."""

    kind: Literal["local"] = "local"
    device: str = "cpu"
    """A PyTorch device: cpu, cuda, cuda:1."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Precision of the model; the optimizer keeps its state and its own copy of the weights in float32."""
    fast_path: Literal["auto", "on", "off"] = "auto"
    """The rewritten small-model path: where the architecture allows, always (or refuse), never."""
    micro_batch_tokens: int = Field(16384, ge=1)
    """Token budget (rows times longest row) of one forward and backward pass."""
    generation_batch: int = Field(512, ge=1)
    """Most rows decoded together."""
    logits_budget: int = Field(1 << 24, ge=1)
    """Most logits (tokens times vocabulary) that exist at once in an update."""
    skip_zero_weight_rows: bool = True
    """Leave out rows whose tokens all weigh zero; exact only without an entropy bonus."""
    keep_checkpoints: int = Field(2, ge=1)
    """Checkpoints kept, the newest ones; the last of a finished run always stays."""
    sample_rollouts: int = Field(4, ge=0)
    """Rollouts written to samples.jsonl at every validation, for reading: up to 512 tokens each; 0 writes none."""


class VerlBackend(Settings):
    """The same method inside verl: Ray, FSDP2, an inference engine; several devices and machines (docs/verl.md)."""

    kind: Literal["verl"] = "verl"
    device: Literal["cuda", "cpu"] = "cuda"
    """What verl's workers run on; cpu needs a plugin."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Precision of forward and backward passes and of sampling; the optimizer works on float32 weights."""
    nodes: int = Field(1, ge=1)
    """Machines."""
    devices_per_node: int = Field(8, ge=1)
    """Devices of each machine; without a GPU, worker processes of it."""
    engine: str = Field("vllm", min_length=1)
    """verl's name of the inference engine that makes the rollouts: vllm, sglang, or one of the plugin's."""
    tensor_parallel: int = Field(1, ge=1)
    """Devices that share one copy of the weights while sampling."""
    gpu_memory_utilization: float = Field(0.6, gt=0, lt=1)
    """Share of a device's memory that the inference engine takes for weights and cache."""
    micro_batch_tokens: int = Field(16384, ge=1)
    """Token budget of one forward and backward pass on one device; at least one whole sequence."""
    attention: Literal["flash_attention_2", "sdpa", "eager"] = "flash_attention_2"
    """Attention of the trained model; flash_attention_2 also packs sequences without padding."""
    gradient_checkpointing: bool = True
    """Compute activations again in the backward pass instead of keeping them."""
    offload: bool = False
    """Keep trained weights and optimizer state in the machine's memory while they are not used."""
    agent_workers: int = Field(8, ge=1)
    """Processes that ask the inference engines for responses."""
    ray_address: str = Field("local", min_length=1)
    """local starts a Ray cluster of the run's own and ends it; auto, or host:port, joins one that runs already."""
    ray_cpus: int | None = Field(None, ge=1)
    """Processor slots of the cluster that `ray_address=local` starts; null takes the machine's cores."""
    plugin: str | None = None
    """Python module that every process imports: platforms and engines that verl does not know."""
    generation_batch: int = Field(64, ge=1)
    """Most rows decoded together by the embedded sampler, which evaluates the trained model."""
    keep_checkpoints: int = Field(2, ge=1)
    """Checkpoints kept, the newest ones; the last of a finished run always stays."""
    verl: dict[str, Any] = Field(default_factory=dict)
    """More of verl's own settings, as `backend.verl.<key>`: all it knows that no setting of this suite decides."""

    @model_validator(mode="after")
    def machines_agree(self) -> Self:
        devices = self.nodes * self.devices_per_node
        if devices % self.tensor_parallel:
            raise ValueError(
                f"tensor_parallel={self.tensor_parallel} must divide nodes * devices_per_node = {devices}"
            )
        if self.nodes > 1 and self.ray_address == "local":
            raise ValueError(
                f"nodes={self.nodes} needs a Ray cluster that spans them: start one (`ray start`) and set "
                "ray_address=auto on one of its machines, or ray_address=<host:port>"
            )
        if self.ray_cpus is not None and self.ray_address != "local":
            raise ValueError("ray_cpus says how large a cluster of our own is; ray_address names another")
        return self

    @model_validator(mode="after")
    def plugin_fits_the_device(self) -> Self:
        if self.device == "cpu" and self.plugin is None:
            raise ValueError(f"device=cpu needs a plugin, since verl knows no CPU; set plugin={TEST_PLUGIN}")
        if self.device != "cpu" and (self.plugin or "").startswith(TEST_PLUGIN):
            raise ValueError(
                f"plugin={self.plugin} is for device=cpu; verl itself knows GPUs, so leave it out"
            )
        return self


BackendSettings = Annotated[LocalBackend | VerlBackend, Field(discriminator="kind")]


def embedded(backend: LocalBackend | VerlBackend) -> LocalBackend:
    """How the embedded policy is loaded beside a backend, to evaluate what it trained."""
    if isinstance(backend, LocalBackend):
        return backend
    return LocalBackend(device=backend.device, dtype=backend.dtype, generation_batch=backend.generation_batch)


def base_backend(backend: LocalBackend | VerlBackend) -> LocalBackend:
    """Where a starting model of our own is made; beside verl always here on the CPU, so that backends share it."""
    return backend if isinstance(backend, LocalBackend) else LocalBackend()
