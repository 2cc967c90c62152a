"""`python -m experiments.run [group=name] [key=value] [--multirun]`: run one cell or a sweep of them.

One cell: `python -m experiments.run method=rft seed=1`. A sweep: `python -m experiments.run --multirun
+sweep=main_results`, or any comma-separated values: `--multirun method=sft,rft seed=0,1`. What is already done is
not done again. Exit code: 0 all done, 1 a cell failed, 2 the configuration is refused, 75 interrupted (start the
same command again to continue).
"""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from experiments.overrides import for_hydra
from experiments.sweeps import register


def _one_cell(composed: DictConfig) -> None:
    from experiments.compose import typed
    from experiments.execute import execute
    from experiments.exits import exits

    with exits():
        execute([typed(composed)]).raise_for_failures()


def main() -> None:
    """Entry point."""
    from experiments.exits import exits

    with exits():
        register()
    sys.argv[1:] = for_hydra(sys.argv[1:])
    hydra.main(config_path="conf", config_name="config", version_base="1.3")(_one_cell)()


if __name__ == "__main__":
    main()
