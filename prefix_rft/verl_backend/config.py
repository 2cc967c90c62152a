"""verl's configuration of a run: its own files as data, our settings over them, then `backend.verl`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf, open_dict

from prefix_rft.errors import TrainingError
from prefix_rft.runs.atomic import write_text
from prefix_rft.runs.store import RunDir
from prefix_rft.settings import RunConfig
from prefix_rft.verl_backend.keys import flat, refuse_unless_theirs
from prefix_rft.verl_backend.translation import Files, rows, verl_backend

__all__ = ["CONFIG_FILE", "Files", "load", "verl_config"]

CONFIG_FILE = "verl.yaml"
"""verl's configuration, in the run's directory."""


def verl_config(config: RunConfig, files: Files, run: RunDir, total_steps: int) -> DictConfig:
    """verl's `ppo_trainer` for a run, written to `verl.yaml` of its directory.

    Args:
        config: the run's settings.
        files: what it reads and writes.
        run: its directory.
        total_steps: rollout steps of the run; of imitation they depend on the number of demonstrations.

    Raises:
        SettingsError: `backend.verl` sets a key that verl does not know, or that one of our settings decides.
        TrainingError: verl is not installed.
    """
    composed, package = load("ppo_trainer"), _package()
    ours = rows(config, files, run.id, total_steps)
    theirs = list(flat(verl_backend(config).verl))
    for key, _ in theirs:
        refuse_unless_theirs(key, ours, composed, package)
    with open_dict(composed):
        for key, value in [(row.key, row.value) for row in ours] + theirs:
            OmegaConf.update(composed, key, value, merge=False, force_add=True)
    write_text(run.path / CONFIG_FILE, OmegaConf.to_yaml(composed))
    return composed


def load(name: str) -> DictConfig:
    """One of the configurations in verl's package, composed; imports nothing of verl.

    Raises:
        TrainingError: verl is not installed.
    """
    with initialize_config_dir(str(_package() / "trainer" / "config"), version_base="1.3"):
        return compose(name)


def _package() -> Path:
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise TrainingError(
            "backend=verl needs verl, which is not installed: pip install 'prefix-rft[verl]' -c requirements/lock.txt"
        )
    return Path(next(iter(spec.submodule_search_locations)))
