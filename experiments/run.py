"""`python -m experiments.run [group=name] [key=value] [--multirun]`: run one cell or a sweep of them.

One cell: `python -m experiments.run method=rft seed=1`. A sweep: `python -m experiments.run --multirun
+sweep=main_results`, or any comma-separated values: `--multirun method=sft,rft seed=0,1`. What is already done is
not done again. Exit code: 0 all done, 1 a cell failed, 2 the configuration is refused, 75 interrupted (start the
same command again to continue).
"""

from __future__ import annotations

import os
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from experiments.compose import hydras_refusals, typed
from experiments.exits import exits
from experiments.overrides import LAUNCHER, for_hydra
from experiments.sweeps import register
from prefix_rft.errors import SettingsError

_COMPLETION = {"-sc", "--shell-completion"}
"""Flags of Hydra's tab completion, whose arguments are no settings."""


def main() -> None:
    """Entry point."""
    with exits(), hydras_refusals():
        register()
        if not _COMPLETION & set(sys.argv):
            sys.argv[1:] = for_hydra(sys.argv[1:])
        # Without it Hydra prints its errors in its own way and leaves with exit code 1 whatever happened.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        hydra.main(config_path="conf", config_name="config", version_base="1.3")(_one_cell)()


def _one_cell(composed: DictConfig) -> None:
    from experiments.execute import execute

    with exits():
        config = typed(composed)
        if config.sweep is not None:
            raise SettingsError(f"sweep={config.sweep} has many cells: add --multirun")
        if HydraConfig.get().runtime.choices[LAUNCHER] != "local":
            raise SettingsError(f"{LAUNCHER}={HydraConfig.get().runtime.choices[LAUNCHER]}: add --multirun")
        execute([config]).raise_for_failures()


if __name__ == "__main__":
    main()
