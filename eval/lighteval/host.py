"""lighteval's own command line, knowing no tasks but those of --custom-tasks.

Runs in lighteval's environment, with lighteval's arguments. lighteval 0.13 imports every task it ships whatever is
asked for, and one of them downloads a file as it is imported: without a network no command would get further.
"""

# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from typing import Any

from lighteval.tasks.registry import Registry


def restrict() -> None:
    """Let the registry hold the custom tasks alone."""
    Registry.load_all_task_configs = staticmethod(_custom_tasks)


def _custom_tasks(custom_tasks: Any = None, load_multilingual: bool = False) -> dict[str, Any]:
    if custom_tasks is None:
        raise SystemExit("name a file of tasks: --custom-tasks eval/lighteval_tasks.py")
    configs: dict[str, Any] = Registry._extract_configs(Registry.create_custom_tasks_module(custom_tasks))
    return configs


if __name__ == "__main__":
    restrict()
    from lighteval.__main__ import app

    app()
