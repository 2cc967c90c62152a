"""As `run_process.py`, to the end; writes down the old log-probabilities that verl's workers compute.

`python recorded_process.py SETTINGS START RECORD`: RECORD gets a line of JSON for each response of each rollout step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import run_process
import transfer_queue as tq
from transfer_queue import KVBatchMeta

from prefix_rft.verl_backend import trainer
from prefix_rft.verl_backend.update import Update

FIELDS = ("prompts", "responses", "old_log_probs")


class RecordedUpdate(Update):
    """Looks at the queue between scoring and the first optimizer step."""

    def run(self, queued: KVBatchMeta, score: Callable[[KVBatchMeta], None]) -> Any:
        def scored(rows: KVBatchMeta) -> None:
            score(rows)
            found = tq.kv_batch_get(
                keys=self.keys, partition_id=rows.partition_id, select_fields=list(FIELDS)
            )
            self._write(*(found[name].unbind() for name in FIELDS))

        return super().run(queued, scored)

    def _write(self, *columns: Any) -> None:
        ours = {"prefix": self.graded.prefix_length_B, "reward": self.graded.reward_B}
        theirs = dict(zip(("prompt", "response", "logp"), columns, strict=True))
        with Path(sys.argv[3]).open("a", encoding="utf-8") as file:
            for row in range(len(self.keys)):
                line = {name: values[row].tolist() for name, values in (ours | theirs).items()}
                file.write(json.dumps({"step": self.at.step, **line}) + "\n")


if __name__ == "__main__":
    trainer.Update = RecordedUpdate  # type: ignore[misc]
    sys.exit(run_process.main(Path(sys.argv[1]), Path(sys.argv[2]), None))
