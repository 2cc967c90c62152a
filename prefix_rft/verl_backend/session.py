"""A Ray cluster of the run's own, from start to the last process's end; or a place in one that the settings name."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray
from omegaconf import DictConfig, OmegaConf

from prefix_rft.settings import VerlBackend

BESIDE_TRL = "prefix_rft.verl_backend.beside_trl"
_MODULES = "VERL_USE_EXTERNAL_MODULES"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def environment(backend: VerlBackend) -> dict[str, str]:
    """What verl reads from the environment, before it is imported; in every process."""
    values = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFER_QUEUE_ENABLE": "1",
        _MODULES: _modules(backend.plugin),
    }
    if backend.device == "cpu":
        values |= {"VERL_PLATFORM": "cpu", "OMP_NUM_THREADS": "1", "TQ_NUM_THREADS": "1"}
    return values


def _modules(plugin: str | None) -> str:
    """What verl imports at its start: ours first, and what the user's own environment names."""
    asked = os.environ.get(_MODULES, "").split(",")
    return ",".join(dict.fromkeys(filter(None, (BESIDE_TRL, plugin, *asked))))


@contextmanager
def ray_session(config: DictConfig, backend: VerlBackend) -> Iterator[None]:
    """Ray while it lasts; a cluster that was started here is gone afterwards, whatever happened.

    Its address is `local`, so that no cluster that runs already is joined or ended, and its files lie in a folder of
    their own, whose name is short because sockets lie in it.

    Args:
        config: verl's configuration (`ray_kwargs.ray_init`).
        backend: the backend's settings.
    """
    own = backend.ray_address == "local"
    folder = Path(tempfile.mkdtemp(prefix=f"prft-{os.getpid()}-", dir="/tmp")) if own else None
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        ray.init(**_arguments(config, environment(backend), folder))
        # Ray puts handlers of its own in their place, which end the process at once.
        for number, handler in handlers.items():
            signal.signal(number, handler)
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _arguments(config: DictConfig, variables: Mapping[str, str], folder: Path | None) -> dict[str, object]:
    from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

    asked = OmegaConf.to_container(config.ray_kwargs.ray_init, resolve=True)
    assert isinstance(asked, dict)
    theirs = get_ppo_ray_runtime_env(config)
    given = {
        name: value for name, value in (asked.pop("runtime_env", None) or {}).items() if value is not None
    }
    merged = {**theirs, **given, "env_vars": {**theirs["env_vars"], **given.get("env_vars", {}), **variables}}
    found = {str(name): value for name, value in asked.items() if value is not None}
    if folder is not None:
        found["_temp_dir"] = str(folder)
    return {**found, "runtime_env": merged, "namespace": f"prefix-rft-{os.getpid()}"}
