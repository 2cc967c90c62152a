"""A model folder of one's own, made from a published model: longer context, prompt and ends as training needs them.

Nothing is changed in memory or at load time: what a run trains from is what stands in the folder, and
`preparation/record.json` in it says what was changed and from what.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefix_rft import __version__
from prefix_rft.errors import DataError
from prefix_rft.models.changes import Changed, changed_files
from prefix_rft.models.families import Family, recognise
from prefix_rft.models.files import (
    CHAT_TEMPLATE,
    CONFIG,
    SMALL,
    VOCABULARY,
    WEIGHTS,
    matching,
    model_folder,
    read_json,
)
from prefix_rft.models.templates import TEMPLATES, Template
from prefix_rft.runs.atomic import move_into_place, temporary_beside, write_json

Weights = Literal["copy", "link"]
"""copy: the folder stands by itself; link: symbolic links to the source's files, which must then stay."""
Progress = Callable[[int, int], None]
"""Told how many bytes of the weights are read, of how many."""

RECORD = Path("preparation") / "record.json"
"""In a folder of its own: what names a run is the model's content, not where it came from."""
_FORMAT = 1
_CHUNK = 1 << 23


@dataclass(frozen=True)
class Prepared:
    """A prepared model folder."""

    folder: Path
    family: str
    template: Template
    changes: Mapping[str, Any]
    """File, setting, and its value before and after."""
    source: str
    source_digest: str
    """SHA-256 over names and contents of all files that were taken."""
    fresh: bool
    """False: it was there already, prepared in the same way."""


@dataclass(frozen=True)
class _Plan:
    source: str
    folder: Path
    family: Family
    template: Template
    weights: Weights
    changed: Changed
    small: dict[str, str]
    """SHA-256 of every small file of the source."""
    large: dict[str, int]
    """Bytes of every file of weights."""

    def asked(self) -> dict[str, Any]:
        """What makes two preparations the same."""
        return {
            "format": _FORMAT,
            "family": self.family.name,
            "template": self.template,
            "weights": self.weights,
            "changes": self.changed.values,
            "small": self.small,
            "large": self.large,
        }


def prepare_model(
    source: str,
    out: Path,
    *,
    revision: str | None = None,
    template: Template | None = None,
    weights: Weights = "copy",
    progress: Progress | None = None,
) -> Prepared:
    """Make the folder `out`, whole or not at all; one that was made in the same way is left as it is.

    Args:
        source: a folder in the Hugging Face layout, or a name on the hub.
        out: the new folder.
        revision: commit, tag or branch on the hub.
        template: the prompt; the family's own where None is given.
        weights: copied, or linked to.
        progress: told of the reading of the weights.

    Raises:
        DataError: the source is not there, of no known family or extended already; `out` holds something else; the disk
            refuses.
    """
    plan = _plan(source, revision, template, weights)
    if out.exists():
        return _as_before(plan, out)
    temporary = temporary_beside(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        digest = _write(plan, temporary, progress or _silent)
        _check_prompt(plan, temporary)
        move_into_place(temporary, out)
    except OSError as error:
        raise DataError(
            f"cannot write {out}: {error.strerror or error}. Nothing half-made is left; free some space, choose "
            "another --out, or take --weights link"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return _prepared(plan, out, digest, fresh=True)


def _plan(source: str, revision: str | None, template: Template | None, weights: Weights) -> _Plan:
    """Look at everything but the weights; what cannot be prepared is refused before they are downloaded."""
    family = recognise(read_json(model_folder(source, revision, [CONFIG]) / CONFIG), source)
    folder = model_folder(source, revision, [*SMALL, *WEIGHTS])
    files = _whole(source, folder)
    chosen = template or family.template
    return _Plan(
        source=source,
        folder=folder,
        family=family,
        template=chosen,
        weights=weights,
        changed=changed_files(folder, family, chosen),
        small={file.name: _digest(file) for file in matching(folder, SMALL)},
        large={file.name: file.stat().st_size for file in files},
    )


def _whole(source: str, folder: Path) -> list[Path]:
    """The files of weights, of a folder that has weights and a tokenizer.

    Raises:
        DataError: it lacks one of them.
    """
    files = matching(folder, WEIGHTS)
    if not any(file.suffix == ".safetensors" for file in files):
        raise DataError(f"{source} holds no weights in safetensors files; convert them first")
    if not matching(folder, VOCABULARY):
        raise DataError(f"{source} holds no tokenizer: one of {', '.join(VOCABULARY)} is needed")
    return files


def _as_before(plan: _Plan, out: Path) -> Prepared:
    record = out / RECORD
    known = read_json(record) if record.is_file() else {}
    if known.get("asked") != plan.asked():
        why = (
            "it was prepared from other files or in another way"
            if known
            else "it was not made by this command"
        )
        raise DataError(f"{out} is there already and {why}. Choose another --out, or delete it")
    return _prepared(plan, out, str(known["source"]["sha256"]), fresh=False)


def _write(plan: _Plan, folder: Path, progress: Progress) -> str:
    """Everything into a new folder; the digest of the source."""
    folder.mkdir()
    for name in plan.small:
        if name not in plan.changed.texts:
            shutil.copyfile(plan.folder / name, folder / name)
    for name, text in plan.changed.texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    digests = {**plan.small, **_take_weights(plan, folder, progress)}
    lines = "\n".join(f"{name}\0{digests[name]}" for name in sorted(digests))
    digest = hashlib.sha256(lines.encode()).hexdigest()
    (folder / RECORD).parent.mkdir()
    source = {"name": plan.source, "folder": plan.folder.name, "sha256": digest, "files": digests}
    record = {"asked": plan.asked(), "source": source, "prefix_rft": __version__}
    write_json(folder / RECORD, record, durable=False)
    return digest


def _take_weights(plan: _Plan, folder: Path, progress: Progress) -> dict[str, str]:
    """Copy or link every file of weights, reading each once for its digest."""
    total, done = sum(plan.large.values()), 0
    digests = {}
    for name in plan.large:
        state = hashlib.sha256()
        origin = (plan.folder / name).resolve()
        with origin.open("rb") as file, _target(plan, folder / name).open("wb") as copy:
            while chunk := file.read(_CHUNK):
                state.update(chunk)
                copy.write(chunk)
                done += len(chunk)
                progress(done, total)
        if plan.weights == "link":
            (folder / name).symlink_to(origin)
        digests[name] = state.hexdigest()
    return digests


def _target(plan: _Plan, file: Path) -> Path:
    return file if plan.weights == "copy" else Path(os.devnull)


def _check_prompt(plan: _Plan, folder: Path) -> None:
    """The folder's tokenizer reads the prompt as it was written."""
    from prefix_rft.data.encode import load_encoder
    from prefix_rft.data.schema import Message

    text = TEMPLATES[plan.template]
    rendered = load_encoder(folder).render([Message(role="user", content="1+1?")])
    if text is not None and "User: " not in rendered:
        raise DataError(
            f"the tokenizer of {plan.source} does not take the prompt from {CHAT_TEMPLATE}; it renders {rendered!r}"
        )


def _prepared(plan: _Plan, out: Path, digest: str, *, fresh: bool) -> Prepared:
    return Prepared(out, plan.family.name, plan.template, plan.changed.values, plan.source, digest, fresh)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _silent(done: int, total: int) -> None:
    """No one watches."""
