"""`prefix-rft prepare-model`: a published model becomes a folder that training can start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.commands.bars import NamedBars, bars
from experiments.compose import compose
from experiments.overrides import CONF
from prefix_rft.errors import SettingsError, unknown
from prefix_rft.models import Prepared, prepare_model
from prefix_rft.models.prepare import RECORD, Weights
from prefix_rft.models.templates import Template
from prefix_rft.settings import PretrainedModel

_MIB = 1 << 20


def prepare(
    source: str,
    out: Path | None,
    *,
    revision: str | None = None,
    template: str | None = None,
    weights: str = "copy",
    console: Console,
) -> int:
    """Prepare a model and print what was changed.

    Args:
        source: a choice of experiments/conf/model, which says the published model and the folder; a folder; or a name
            on the hub.
        out: the new folder; a choice has its own.
        revision: commit, tag or branch on the hub.
        template: luffy, plain or keep; the family's own where None is given.
        weights: copy or link.
        console: where to print.

    Returns:
        0: the folder is there.

    Raises:
        SettingsError: an option is unknown, or no folder is named.
        DataError: the model cannot be prepared, or the folder cannot be written.
    """
    origin, folder, known = _asked(source, out, revision)
    with bars(Console(stderr=True)) as progress:
        bar = NamedBars(progress)
        done = prepare_model(
            origin,
            folder,
            revision=known,
            template=None if template is None else _choice("template", template, Template),
            weights=_choice("kind of weights", weights, Weights),
            progress=lambda read, total: bar("weights, MiB", read // _MIB, total // _MIB),
        )
    _print(done, console)
    return 0


def _asked(source: str, out: Path | None, revision: str | None) -> tuple[str, Path, str | None]:
    """Model, new folder and revision."""
    choice = _configured(source)
    if choice is not None and choice.source is not None:
        return choice.source, out or Path(choice.path), revision or choice.revision
    if out is None:
        known = ", ".join(_choices())
        raise SettingsError(
            f"prepare-model {source}: name the new folder with --out, or prepare one of experiments/conf/model by its "
            f"name: {known}"
        )
    return source, out, revision


def _configured(name: str) -> PretrainedModel | None:
    """The model of that name in experiments/conf/model; a folder of the name goes before it."""
    if Path(name).is_dir() or name not in _choices():
        return None
    model = compose(["scale=paper", f"model={name}"]).model
    assert isinstance(model, PretrainedModel)
    return model


def _choices() -> list[str]:
    """Models in experiments/conf/model that are made by this command."""
    files = sorted((CONF / "model").glob("*.yaml"))
    return [file.stem for file in files if "\nsource: " in file.read_text(encoding="utf-8")]


def _choice(kind: str, name: str, choices: Any) -> Any:
    if name not in get_args(choices):
        raise SettingsError(unknown(kind, name, get_args(choices)))
    return name


def _print(done: Prepared, console: Console) -> None:
    table = Table("file", "entry", "was", "is", box=None)
    for file, entries in done.changes.items():
        for entry, (before, after) in entries.items():
            table.add_row(*(Text(cell) for cell in (file, entry, _shown(before), _shown(after))))
    console.print(table)
    state = "prepared" if done.fresh else "was prepared before, in the same way"
    lines = (
        f"{done.folder} {state}: {done.source}, family {done.family}, template {done.template}",
        f"sha256 of the source: {done.source_digest} (every file and change: {done.folder / RECORD})",
        f"train from it with model.path={done.folder}",
    )
    for line in lines:
        console.print(Text(line), soft_wrap=True)


def _shown(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
