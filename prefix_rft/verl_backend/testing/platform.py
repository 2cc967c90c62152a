"""The CPU as a verl platform (`PlatformRegistry`): one device, no memory of its own, gloo."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry


class _CpuId(str):
    """The device's id: `cpu` where a tensor is moved to it, 0 where verl writes `f"{device_name}:{device_id}"`."""

    def __format__(self, spec: str) -> str:
        return "0"


def _nothing(*_: Any) -> None:
    return None


def _zero(*_: Any) -> int:
    return 0


def _device_module() -> ModuleType:
    """What verl expects of `torch.cuda`, and `torch.cpu` lacks."""
    module = ModuleType("prefix_rft_cpu_device")
    for name in ("set_device", "synchronize", "empty_cache", "ipc_collect", "reset_peak_memory_stats"):
        setattr(module, name, _nothing)
    for name in ("memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved"):
        setattr(module, name, _zero)
    found: dict[str, Any] = {
        "is_available": lambda: False,
        "device_count": lambda: 1,
        "current_device": lambda: _CpuId("cpu"),
        "mem_get_info": lambda *_: (0, 0),
        "get_device_name": lambda *_: "CPU",
        "manual_seed": torch.manual_seed,
        "manual_seed_all": torch.manual_seed,
        "get_rng_state": lambda *_: torch.get_rng_state(),
        "set_rng_state": lambda state, *_: torch.set_rng_state(state),
    }
    for name, value in found.items():
        setattr(module, name, value)
    return module


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):  # type: ignore[misc]
    """Every method that verl's base class leaves open."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _device_module()

    def is_available(self) -> bool:
        """Always."""
        return True

    def current_device(self) -> _CpuId:
        """The only one."""
        return _CpuId("cpu")

    def device_count(self) -> int:
        """One."""
        return 1

    def set_device(self, device_index: int) -> None:
        """There is no choice."""

    def synchronize(self, device_index: int | None = None) -> None:
        """Nothing runs behind the caller's back."""

    def manual_seed(self, seed: int) -> None:
        """PyTorch's."""
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """PyTorch's."""
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        """There are none."""

    def empty_cache(self) -> None:
        """There is none."""

    def get_device_capability(self, device_index: int = 0) -> tuple[None, None]:
        """It has no number."""
        return None, None

    def communication_backend_name(self) -> str:
        """gloo."""
        return "gloo"

    def visible_devices_envvar(self) -> str:
        """Never set: Ray fails where it is empty."""
        return "CUDA_VISIBLE_DEVICES"

    @contextlib.contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        """Nothing is profiled."""
        yield

    def profiler_start(self) -> None:
        """Nothing is profiled."""

    def profiler_stop(self) -> None:
        """Nothing is profiled."""

    def ray_resource_name(self) -> str:
        """Slots in name only (`ray_init.num_gpus`): verl counts its workers in GPUs."""
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        """None."""
        return []

    def is_ipc_supported(self) -> bool:
        """Weights go through Ray."""
        return False

    def cudart(self) -> None:
        """There is none."""
