"""`python -m slurm.testing start FOLDER`, `... stop FOLDER`: a SLURM on this machine to try things with."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from slurm.errors import SlurmError
from slurm.testing.sandbox import Sandbox


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m slurm.testing", description=__doc__)
    parser.add_argument("what", choices=("start", "stop"))
    parser.add_argument("folder", type=Path, help="where its key, ports, state and logs are")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cpus", type=int, default=2, help="of each node")
    parser.add_argument("--gpus", type=int, default=0, help="make-believe ones of each node, 5 at most")
    parser.add_argument("--accounts", action="store_true", help="with sacct (slurmdbd, mariadb-server)")
    asked = parser.parse_args()
    sandbox = Sandbox(asked.folder.absolute(), asked.nodes, asked.cpus, asked.gpus, accounts=asked.accounts)
    try:
        sandbox.start() if asked.what == "start" else sandbox.stop()
    except SlurmError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if asked.what == "start":
        print(f"export SLURM_CONF={shlex.quote(str(sandbox.conf))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
