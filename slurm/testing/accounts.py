"""Accounts for the test cluster: slurmdbd and a MariaDB of its own, below the cluster's folder."""

from __future__ import annotations

import getpass
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from slurm.errors import SlurmError

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacct", "sacctmgr")
_PATIENCE_SECONDS = 60.0


@dataclass
class Accounts:
    """The accounts of one test cluster."""

    folder: Path
    """The cluster's."""
    path: str
    """Where programs are looked for."""
    ports: tuple[int, int]
    """Of the database and of slurmdbd."""
    password: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def settings(self) -> dict[str, str]:
        """Lines of slurm.conf."""
        return {
            "AccountingStorageType": "accounting_storage/slurmdbd",
            "AccountingStorageHost": "127.0.0.1",
            "AccountingStoragePort": str(self.ports[1]),
            "AccountingStoragePass": f"{self.folder}/run/munge.sock",  # with slurmdbd: the socket it is trusted by
            "AccountingStoreFlags": "job_comment",
            "JobAcctGatherType": "jobacct_gather/linux",
        }

    def start(self, ask: Callable[..., str]) -> None:
        """Start both and wait until they answer; munge has to run.

        Args:
            ask: what a program of SLURM printed; nothing where it failed.

        Raises:
            SlurmError: they do not answer; names the logs.
        """
        self._start_database()
        conf = self.folder / "slurmdbd.conf"
        conf.touch(mode=0o600)
        conf.write_text(self._configuration())
        environment = {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": self.path}
        self._run("slurmdbd", environment=environment)
        self._wait(lambda: "sandbox" in self._cluster(ask), "slurmdbd")

    def _cluster(self, ask: Callable[..., str]) -> str:
        ask("sacctmgr", "--immediate", "add", "cluster", "sandbox")
        return ask("sacctmgr", "--noheader", "--parsable2", "show", "cluster", "format=Cluster")

    def _start_database(self) -> None:
        data = self.folder / "database"
        user = getpass.getuser()
        install = ("--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db")
        if not data.exists():
            self._run("mariadb-install-db", *install)
        first = data / "first.sql"
        first.write_text(
            f"CREATE OR REPLACE USER 'slurm'@'127.0.0.1' IDENTIFIED BY '{self.password}';\n"
            "GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';\n"
        )
        first.chmod(0o600)
        options = [
            f"--datadir={data}",
            f"--user={user}",
            f"--socket={self.folder}/run/database.sock",
            f"--pid-file={self.folder}/run/mariadbd.pid",
            f"--log-error={self.folder}/log/mariadbd.log",
            f"--init-file={first}",
            "--bind-address=127.0.0.1",
            f"--port={self.ports[0]}",
            "--innodb-flush-log-at-trx-commit=0",
        ]
        program = shutil.which("mariadbd", path=self.path)
        assert program is not None
        subprocess.Popen(
            [program, "--no-defaults", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._wait(self._database_answers, "mariadbd")

    def _database_answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.ports[0]), timeout=1).close()
        except OSError:
            return False
        return True

    def _configuration(self) -> str:
        lines = {
            "AuthType": "auth/munge",
            "AuthInfo": f"socket={self.folder}/run/munge.sock",
            "DbdHost": socket.gethostname().partition(".")[0],
            "DbdAddr": "127.0.0.1",
            "DbdPort": str(self.ports[1]),
            "SlurmUser": getpass.getuser(),
            "LogFile": f"{self.folder}/log/slurmdbd.log",
            "PidFile": f"{self.folder}/run/slurmdbd.pid",
            "StorageType": "accounting_storage/mysql",
            "StorageHost": "127.0.0.1",
            "StoragePort": str(self.ports[0]),
            "StorageUser": "slurm",
            "StoragePass": self.password,
        }
        return "".join(f"{key}={value}\n" for key, value in lines.items())

    def _run(self, program: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        found = shutil.which(program, path=self.path)
        assert found is not None
        done = subprocess.run([found, *arguments], capture_output=True, text=True, env=environment)
        if done.returncode:
            raise SlurmError(f"{program} did not start: {done.stderr.strip()} (logs: {self.folder}/log)")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise SlurmError(f"{what} does not answer: see {self.folder}/log")
            time.sleep(0.1)
