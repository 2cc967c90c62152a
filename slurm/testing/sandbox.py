"""Starts and stops a SLURM of several virtual nodes below one folder: no systemd, no root, nothing installed.

Its daemons are Debian's (`apt-get install slurm-wlm munge`), its key, sockets, ports, state and logs are its own, so
it disturbs no SLURM that the machine may belong to. There is no accounting, as on many small clusters, unless it is
asked for.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slurm.errors import SlurmError
from slurm.testing.accounts import PROGRAMS as OF_ACCOUNTS
from slurm.testing.accounts import Accounts

PACKAGES = "slurm-wlm munge (with accounts also slurmdbd mariadb-server)"
_DAEMONS = ("munged", "slurmctld", "slurmd")
_WANTED = (*_DAEMONS, "sbatch", "squeue", "scontrol", "scancel", "sinfo", "srun")
_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""Character devices that every machine has: SLURM counts no plain file as a GPU."""
_PATIENCE_SECONDS = 30.0


def missing(accounts: bool = False) -> list[str]:
    """Programs of SLURM and munge that this machine lacks, and those of the accounts where they are wanted."""
    wanted = (*_WANTED, *(OF_ACCOUNTS if accounts else ()))
    return [name for name in wanted if shutil.which(name, path=_PATH) is None]


@dataclass
class Sandbox:
    """One cluster; all it knows is in its folder."""

    folder: Path
    nodes: int = 4
    cpus: int = 4
    """Of each virtual node; SLURM counts them, nobody binds to them."""
    gpus: int = 0
    """Make-believe ones of each node: SLURM hands them out, nothing can compute on them."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """More lines of slurm.conf, or others: MaxArraySize, MaxJobCount."""
    accounts: bool = False
    """Whether sacct and sacctmgr answer (slurm.testing.accounts)."""

    @property
    def conf(self) -> Path:
        """Its slurm.conf; programs find the cluster by the variable SLURM_CONF."""
        return self.folder / "slurm.conf"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to speak to this cluster."""
        return {"SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Start the daemons and wait until every node is idle.

        Raises:
            SlurmError: a program is missing, or the nodes do not come up; names the logs.
        """
        lacking = missing(self.accounts)
        if lacking:
            raise SlurmError(f"{', '.join(lacking)} not found; on Debian: apt-get install {PACKAGES}")
        if self._is_running("slurmctld"):
            raise SlurmError(f"it runs already: export SLURM_CONF={self.conf}, or stop it first")
        self._folders()
        self._munge()
        if self._accounting is not None:
            self._accounting.start(self._say)
        self.start_controller()
        for node in self.names():
            self.start_node(node)
        self._wait_for_nodes()

    def stop(self) -> None:
        """Cancel all jobs and end the daemons, each by its own pid file."""
        if not self.conf.exists():
            return
        self._say("scancel", "--user", getpass.getuser())
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._say("squeue", "--noheader").strip() and time.monotonic() < deadline:
            time.sleep(0.1)
        for path in sorted((self.folder / "run").glob("slurmd-*.pid")):
            self.end(path.stem)
        for daemon in ("slurmctld", "slurmdbd", "mariadbd", "munged"):
            self.end(daemon)

    def names(self) -> list[str]:
        """Names of the nodes: n1, n2."""
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    def start_controller(self) -> None:
        """Start slurmctld; it takes up the jobs it knew."""
        self._start("slurmctld", "-i", "-f", str(self.conf))

    def start_node(self, node: str) -> None:
        """Start the slurmd of one node."""
        (self.folder / "spool" / node).mkdir(exist_ok=True)
        self._start("slurmd", "-N", node, "-f", str(self.conf))

    def end(self, daemon: str, number: int = signal.SIGTERM) -> None:
        """End one daemon by its pid file, and wait for it: slurmctld, munged, slurmd-n1."""
        path = self.folder / "run" / f"{daemon}.pid"
        text = path.read_text().strip() if path.exists() else ""
        if not text or not _is_alive(int(text)):
            return
        os.kill(int(text), number)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while _is_alive(int(text)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if _is_alive(int(text)):
            os.kill(int(text), signal.SIGKILL)
        path.unlink(missing_ok=True)

    def _is_running(self, daemon: str) -> bool:
        path = self.folder / "run" / f"{daemon}.pid"
        text = path.read_text().strip() if path.exists() else ""
        return bool(text) and _is_alive(int(text))

    def _folders(self) -> None:
        self._accounting = Accounts(self.folder, _PATH, _two(_free_ports(2))) if self.accounts else None
        for name in ("run", "log", "state", "spool", "munge"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "munge").chmod(0o700)
        self.folder.chmod(0o755)
        self.conf.write_text(self._configuration())
        devices = f" File={','.join(_DEVICES[: self.gpus])}" if self.gpus else ""
        (self.folder / "gres.conf").write_text(f"Name=gpu Count={self.gpus}{devices}\n" if self.gpus else "")

    def _munge(self) -> None:
        key = self.folder / "munge" / "key"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(secrets.token_bytes(128))
            key.chmod(0o400)
        self._start(
            "munged",
            "--force",
            f"--key-file={key}",
            f"--socket={self.folder}/run/munge.sock",
            f"--pid-file={self.folder}/run/munged.pid",
            f"--log-file={self.folder}/log/munged.log",
            f"--seed-file={self.folder}/munge/seed",
            "--num-threads=2",
        )

    def _configuration(self) -> str:
        ports = _free_ports(2 + self.nodes)
        host, user = socket.gethostname().partition(".")[0], getpass.getuser()
        lines = {
            "ClusterName": "sandbox",
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmUser": user,
            "SlurmdUser": user,
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self.folder}/run/munge.sock",
            "SlurmctldPort": str(ports[0]),
            "SlurmdPort": str(ports[1]),
            "StateSaveLocation": f"{self.folder}/state",
            "SlurmdSpoolDir": f"{self.folder}/spool/%n",
            "SlurmctldPidFile": f"{self.folder}/run/slurmctld.pid",
            "SlurmdPidFile": f"{self.folder}/run/slurmd-%n.pid",
            "SlurmctldLogFile": f"{self.folder}/log/slurmctld.log",
            "SlurmdLogFile": f"{self.folder}/log/slurmd-%n.log",
            **_DEFAULTS,
            **({"GresTypes": "gpu"} if self.gpus else {}),
            **(self._accounting.settings if self._accounting is not None else {}),
            **self.settings,
        }
        gres = f" Gres=gpu:{self.gpus}" if self.gpus else ""
        nodes = [
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} "
            f"RealMemory=16000{gres} State=UNKNOWN"
            for name, port in zip(self.names(), ports[2:], strict=True)
        ]
        every = ",".join(self.names())
        return "\n".join(
            [
                *(f"{key}={value}" for key, value in lines.items()),
                *nodes,
                f"PartitionName=low Nodes={every} Default=YES PriorityTier=1 GraceTime=30 PreemptMode=REQUEUE "
                "MaxTime=INFINITE OverTimeLimit=0 State=UP",
                f"PartitionName=high Nodes={every} PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP",
                "",
            ]
        )

    def _start(self, program: str, *arguments: str) -> None:
        path = shutil.which(program, path=_PATH)
        assert path is not None
        done = subprocess.run([path, *arguments], capture_output=True, text=True, env=self._env())
        if done.returncode:
            raise SlurmError(f"{program} did not start: {done.stderr.strip()} (logs: {self.folder}/log)")

    def _wait_for_nodes(self) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            idle = self._say("sinfo", "-h", "-N", "-p", "low", "-t", "idle,mix,alloc", "-o", "%N").split()
            if len(idle) == self.nodes:
                return
            time.sleep(0.05)
        raise SlurmError(
            f"the nodes did not come up in {_PATIENCE_SECONDS:.0f} s: see {self.folder}/log\n"
            f"{self._say('sinfo', '-R')}"
        )

    def _say(self, *command: str) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, env=self._env(), timeout=20)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout

    def _env(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH"))}
        return {**kept, **self.environment}


_DEFAULTS = {
    "CredType": "cred/munge",
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "JobAcctGatherType": "jobacct_gather/none",
    "SwitchType": "switch/none",
    "MpiDefault": "none",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_CPU",
    "SlurmdParameters": "config_overrides",
    "ReturnToService": "2",
    "JobRequeue": "1",
    "KillWait": "5",
    "MinJobAge": "300",
    "SlurmctldTimeout": "30",
    "SlurmdTimeout": "15",
    "InactiveLimit": "0",
    "SchedulerType": "sched/backfill",
    "SchedulerParameters": "bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0",
    "SlurmctldParameters": "preempt_send_user_signal",
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
    "AccountingStorageType": "accounting_storage/none",
    "JobCompType": "jobcomp/none",
}


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _two(ports: list[int]) -> tuple[int, int]:
    return ports[0], ports[1]


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
