"""`prefix-rft notebooks`: execute the notebooks of analysis/notebooks against a store, as .ipynb and as HTML.

They run in a kernel of this very environment, whatever kernels are installed; pages need nothing beside them.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from experiments.exits import CellsFailedError
from experiments.pace import clock
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.runs.atomic import write_json, write_text

if TYPE_CHECKING:
    from nbformat import NotebookNode

INSTALL = "pip install 'prefix-rft[notebooks]'"
CELL_SECONDS = 600
_PACKAGES = ("nbformat", "nbclient", "nbconvert", "ipykernel")
_KERNEL = "prefix-rft"
_ENDING = ".ipynb"
_PAGE = """{%- extends 'index.html.j2' -%}
{%- block html_head -%}
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:">
{{ super() }}
{%- endblock html_head -%}
{%- block html_head_js -%}{%- endblock html_head_js -%}
{%- block html_head_js_mathjax -%}{%- endblock html_head_js_mathjax -%}
{%- block html_head_js_mermaidjs -%}{%- endblock html_head_js_mermaidjs -%}
"""
"""nbconvert's page without the scripts that it would fetch, and with a policy that lets nothing be fetched."""


def notebooks(asked: Sequence[str], folder: Path, console: Console, *, limit: int = CELL_SECONDS) -> int:
    """Execute notebooks; one that fails is kept as far as it came and costs no other its turn.

    Args:
        asked: names, or beginnings of them, all where none is named; and settings, `store` among them.
        folder: made where it is missing.
        console: says what was done.
        limit: seconds for one cell.

    Raises:
        SettingsError: a notebook is not known, or a package is missing.
        CellsFailedError: a notebook failed.
    """
    settings = [argument for argument in asked if "=" in argument or argument.startswith("~")]
    chosen = list(dict.fromkeys(_named(name) for name in asked if name not in settings)) or names()
    _jupyter()
    environment = _environment(settings)
    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in chosen:
        started = time.monotonic()
        notebook, why = _execute(name, environment, limit)
        _write(notebook, folder, name)
        taken = clock(time.monotonic() - started)
        console.print(f"{name}: {'failed' if why else 'done'} ({taken})", highlight=False, markup=False)
        failed += [f"  {name}, {why}"] if why else []
    console.print(
        f"{len(chosen)} of {len(names())} notebooks as .ipynb and .html in {folder}", highlight=False
    )
    if failed:
        raise CellsFailedError("\n".join([f"{len(failed)} of {len(chosen)} notebooks failed:", *failed]))
    return 0


def names() -> list[str]:
    """Names of the notebooks, in their order."""
    return sorted(
        file.name.removesuffix(_ENDING) for file in _source().iterdir() if file.name.endswith(_ENDING)
    )


def source(name: str) -> str:
    """A notebook as it comes with the suite: without outputs."""
    return str((_source() / f"{name}{_ENDING}").read_text("utf-8"))


def _source() -> Any:
    return resources.files("analysis") / "notebooks"


def _named(asked: str) -> str:
    found = [
        name for name in names() if name == asked or name.startswith(asked) or name[3:].startswith(asked)
    ]
    if len(found) != 1:
        raise SettingsError(unknown("notebook", asked, names()))
    return found[0]


def _jupyter() -> Any:
    """The packages that execute and convert, as attributes; they have no types.

    Raises:
        SettingsError: one is missing; all are asked for, before anything is executed.
    """
    try:
        return SimpleNamespace(**{name: import_module(name) for name in _PACKAGES})
    except ImportError as error:
        raise SettingsError(f"notebooks need {error.name}, which is not installed: {INSTALL}") from None


def _environment(settings: Sequence[str]) -> dict[str, str]:
    """What the kernel is told through its environment; contradictory settings are refused here."""
    from experiments.notebook import SETTINGS_VARIABLE, STORE_VARIABLE
    from experiments.overrides import DEFAULT_SWEEP
    from experiments.selection import select

    store = select(DEFAULT_SWEEP, settings).store.root
    others = [setting for setting in settings if setting.partition("=")[0] != "store"]
    return os.environ | {STORE_VARIABLE: str(store), SETTINGS_VARIABLE: shlex.join(others)}


@dataclass
class _Place:
    """The code cell at work."""

    number: int = 0
    code: str = ""

    def enter(self, cell: NotebookNode, cell_index: int) -> None:
        """nbclient calls it for each cell with code."""
        self.number += 1
        self.code = cell.source.strip().splitlines()[0]

    def __str__(self) -> str:
        return f"code cell {self.number} ({self.code})" if self.number else "before the first cell"


def _execute(name: str, environment: dict[str, str], limit: int) -> tuple[NotebookNode, str]:
    """The notebook as far as it came, and why it came no further; empty where it came to its end."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    notebook, place = _jupyter().nbformat.reads(source(name), as_version=4), _Place()
    with TemporaryDirectory(prefix="prefix-rft-") as folder:
        manager = _kernel_manager(Path(folder))
        client = NotebookClient(
            notebook, km=manager, timeout=limit, record_timing=False, on_cell_execute=place.enter
        )
        try:
            _run(client, manager, environment | {"IPYTHONDIR": folder})
        except CellExecutionError as error:
            return notebook, f"{place}: {error.ename}: {error.evalue}"
        except CellTimeoutError:
            return notebook, f"{place}: took longer than {limit} s; give it more with --limit"
        except RuntimeError as error:
            return notebook, f"{place}: {error}"
    return notebook, ""


def _kernel_manager(folder: Path) -> Any:
    """Starts this interpreter; what is installed or configured for Jupyter on this machine is left out."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    # Without the working directory on the path: a folder of the same name there must not stand in for the suite.
    command = [sys.executable, "-m", "ipykernel_launcher", "--InteractiveShellApp.ignore_cwd=True"]
    kernel = {"argv": [*command, "-f", "{connection_file}"], "display_name": _KERNEL, "language": "python"}
    (folder / "kernels" / _KERNEL).mkdir(parents=True)
    write_json(folder / "kernels" / _KERNEL / "kernel.json", kernel)
    specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")], ensure_native_kernel=False)
    return AsyncKernelManager(
        kernel_name=_KERNEL,
        kernel_spec_manager=specs,
        transport="ipc",  # sockets in the folder: no port that others on the machine could reach
        connection_file=str(folder / "connection.json"),
    )


def _run(client: Any, manager: Any, environment: dict[str, str]) -> None:
    """In a thread of its own, where nbclient takes no signals: Ctrl-C ends the kernel and this command."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(client.execute, cleanup_kc=True, env=environment, cwd=str(Path.cwd()))
        try:
            done.result()
        except KeyboardInterrupt:
            asyncio.run(manager.signal_kernel(signal.SIGKILL))
            raise


def _write(notebook: NotebookNode, folder: Path, name: str) -> None:
    write_text(folder / f"{name}{_ENDING}", _jupyter().nbformat.writes(notebook) + "\n", durable=False)
    exporter = _jupyter().nbconvert.HTMLExporter(raw_template=_PAGE)
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": name}})
    write_text(folder / f"{name}.html", page, durable=False)
