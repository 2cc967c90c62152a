"""lighteval's avg@n over a file of responses; run by lighteval's own Python: SCRIPT WORK RESULT.

WORK is JSON with golds and responses; RESULT gets the seconds of its scoring, imports left out, and avg@n by problem.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lighteval.metrics.metrics import Metrics
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc


def main(work: Path, result: Path) -> None:
    asked = json.loads(work.read_text())
    samples = len(asked["responses"][0])
    metric = Metrics.avg_at_n_math(sample_params={"n": samples})
    wall, cpu = time.perf_counter(), time.process_time()
    averages = []
    for gold, responses in zip(asked["golds"], asked["responses"], strict=True):
        doc = Doc(query="", choices=[gold], gold_index=0)
        averages.append(float(metric.sample_level_fn.compute(doc, ModelResponse(text=responses))))
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    result.write_text(json.dumps({**seconds, "averages": averages}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
