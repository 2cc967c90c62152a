"""Write the documents that lighteval makes of a benchmark: the prompts for a sampler, and what their answers are.

    python eval/lighteval/documents.py <eval/lighteval_tasks.py> <folder> <task> [<task> ...]

Runs in lighteval's environment. The rows are those of a benchmark file: id, problem (lighteval's prompt), answer (the
letter of the right option).
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lighteval.tasks.registry import Registry


def main(arguments: Sequence[str]) -> None:
    """Write <folder>/<task>.jsonl for each task."""
    tasks_file, folder, *names = arguments
    module = Registry.create_custom_tasks_module(tasks_file)
    Registry.load_all_task_configs = staticmethod(lambda **_: Registry._extract_configs(module))
    for name in names:
        (task,) = Registry(tasks=f"{module.PREFIX}:{name}|0", custom_tasks=module).load_tasks().values()
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(task))
        (Path(folder) / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def rows(task: Any) -> list[dict[str, Any]]:
    """The documents of a task, in the order of its data."""
    return [
        {
            "id": document.specific["problem_id"],
            "problem": document.query,
            "answer": document.choices[document.gold_index],
            "meta": {"options": len(document.choices)},
        }
        for document in task.eval_docs()
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
