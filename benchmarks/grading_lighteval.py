"""lighteval's avg@n over a file of responses; run by lighteval's own Python: SCRIPT WORK RESULT.

WORK is JSON with golds, responses, and the k of pass@k (none: avg@n alone, as a user of one metric has it). RESULT gets
the seconds of its scoring, imports left out, avg@n as `correct`, and all means as `figures`.
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
    metrics = {f"avg@{samples}": Metrics.avg_at_n_math(sample_params={"n": samples})}
    for k in asked["ks"]:
        metrics[f"pass@{k}"] = Metrics.pass_at_k_math(sample_params={"k": k, "n": samples})
    found: dict[str, list[float]] = {name: [] for name in metrics}
    wall, cpu = time.perf_counter(), time.process_time()
    for gold, responses in zip(asked["golds"], asked["responses"], strict=True):
        doc = Doc(query="", choices=[gold], gold_index=0)
        for name, metric in metrics.items():
            found[name].append(float(metric.sample_level_fn.compute(doc, ModelResponse(text=responses))))
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    figures = {name: sum(values) / len(values) for name, values in found.items()}
    result.write_text(json.dumps({**seconds, "correct": figures[f"avg@{samples}"], "figures": figures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
