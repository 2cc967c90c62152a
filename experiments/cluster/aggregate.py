"""When everything is over, inside a job: `python -m experiments.cluster.aggregate FILE`.

Mirrors what is not mirrored yet to W&B's offline files, and writes the sweep's report, of the cells that are done.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from experiments.cluster.requests import Requests
from experiments.exits import exits
from experiments.mirroring import mirror_finished
from prefix_rft.runs.atomic import read_json
from prefix_rft.runs.store import Store

REPORTS = "reports"


def main() -> int:
    """Entry point; returns the exit code."""
    with exits():
        values: dict[str, Any] = read_json(Path(sys.argv[1]))
        store = Store(values["store"])
        tasks = Requests(store).tasks(
            run_id for run_id in values["runs"] if Requests(store).path(run_id).exists()
        )
        mirror_finished(store, [task for task in tasks if store.open(task.id).state().status == "done"])
        return _report(store, values) if values["sweep"] else 0


def _report(store: Store, values: dict[str, Any]) -> int:
    from experiments.commands.report import report

    folder = store.root / REPORTS / values["sweep"]
    date = datetime.now(UTC).date().isoformat()
    return report(values["sweep"], values["overrides"], folder, date, Console(width=160))


if __name__ == "__main__":
    sys.exit(main())
