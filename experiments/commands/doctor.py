"""`prefix-rft doctor CLUSTER`: whether runs will start on a cluster as its profile says, and what to change if not."""

from __future__ import annotations

import netrc
import os
import socket
from urllib.parse import urlparse

from rich.console import Console

from experiments.cluster.requests import AGGREGATE, STAGES
from experiments.compose import compose
from prefix_rft.runs.store import Store
from prefix_rft.settings import RunConfig
from slurm.book import FOLDER
from slurm.commands import Slurm
from slurm.doctor import Finding, examine
from slurm.profile import load

_MODULES = ("torch", "transformers", "pydantic", "hydra")
_SERVER = "https://api.wandb.ai"


def doctor(cluster: str, overrides: list[str], console: Console) -> int:
    """Print what was found; 1 where something has to be changed."""
    profile, config = load(cluster), compose(overrides)
    store = Store(config.store)
    bad = 0
    with console.status(f"looking at the cluster as {cluster} wants it"):
        for finding in examine(
            Slurm(), profile, store.root.absolute() / FOLDER, (*STAGES, AGGREGATE), _MODULES
        ):
            bad += _show(finding, console)
        bad += _show(_wandb(config), console)
    console.print(f"{bad} to change" if bad else "ready", highlight=False)
    return 1 if bad else 0


def _show(finding: Finding, console: Console) -> int:
    mark = "ok    " if finding.good else "CHANGE"
    console.print(f"{mark}  {finding.what}: {finding.said}", highlight=False, markup=False, soft_wrap=True)
    return not finding.good


def _wandb(config: RunConfig) -> Finding:
    """From here: a node that has no way out needs tracking=offline too, which nothing but a job can tell."""
    mode = config.tracking.wandb
    if mode != "online":
        return Finding("W&B", True, f"{mode}: no connection is needed")
    server = urlparse(os.environ.get("WANDB_BASE_URL", _SERVER))
    port = server.port or (443 if server.scheme == "https" else 80)
    try:
        socket.create_connection((str(server.hostname), port), timeout=5).close()
    except OSError as error:
        return Finding("W&B", False, f"{server.hostname} is not reached ({error}): tracking=offline")
    if not _has_key(str(server.hostname)):
        return Finding(
            "W&B", False, "there is no key: export WANDB_API_KEY (jobs get it), or run `wandb login`"
        )
    return Finding("W&B", True, f"{server.hostname} is reached from here, and there is a key")


def _has_key(server: str) -> bool:
    """In the environment, or where `wandb login` puts it; the key itself is not looked at."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(server) is not None
    except (OSError, netrc.NetrcParseError):
        return False
