"""What a folder of figures was drawn from: drawing takes seconds, and a report is asked for again and again.

The note counts only while everything that figures show, the code that draws them and their files are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

import analysis
import eval as evaluation
import prefix_rft
from analysis.code_digest import code_digest
from analysis.results import Results
from prefix_rft.errors import RunError
from prefix_rft.runs.atomic import read_json, write_json

NOTE = "drawn.json"
_CODE = (
    (analysis, ("*.py", "*.csv")),
    (evaluation, ("*.py", "benchmarks/registry.py")),
    (prefix_rft, ("keyed.py", "data/schema.py")),
)
_LIBRARIES = ("matplotlib", "fonttools", "numpy", "pandas", "scipy")
Captions = dict[str, str]
"""By name of the figure, in the order of pages."""


def noted(folder: Path, source: str, kinds: Sequence[str]) -> Captions | None:
    """The figures that lie in the folder, if they were drawn from this; None where they are to be drawn.

    Args:
        folder: of the figures.
        source: `source_of` what they are to show.
        kinds: endings of their files.
    """
    try:
        note = read_json(folder / NOTE)
        same = note["source"] == source and note["files"] == _digests(folder, note["captions"], kinds)
        return dict(note["captions"]) if same else None
    except (OSError, RunError, KeyError, TypeError, AttributeError):
        return None


def write_note(folder: Path, source: str, captions: Captions, kinds: Sequence[str]) -> None:
    """Note what the figures of a folder were drawn from.

    Raises:
        RunError: the disk refuses.
    """
    note = {"source": source, "captions": captions, "files": _digests(folder, captions, kinds)}
    write_json(folder / NOTE, note)


def source_of(results: Results) -> str:
    """64 hex digits over the code and over everything of the results that a figure can show."""
    digest = hashlib.sha256(_code().encode())
    for part in _shown(results):
        digest.update(part)
    return digest.hexdigest()


@cache
def _code() -> str:
    return code_digest(_CODE, *map(version, _LIBRARIES))


def _shown(results: Results) -> Iterator[bytes]:
    said = (results.sweep, results.parts, results.cells, results.places, results.standing, results.damage)
    yield ascii([*said, results.unfinished]).encode()
    yield str(list(results.frames.curves.columns)).encode()
    for _, column in results.frames.curves.items():
        plain = isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf"
        yield column.to_numpy().tobytes() if plain else ascii(column.to_list()).encode()
    for run_id, measured in results.evaluations.items():
        for part, done in measured.parts.items():
            yield ascii((run_id, part, done.questions, done.correct_QS.shape)).encode()
            yield done.correct_QS.tobytes()
            yield done.scores.model_dump_json().encode()


def _digests(folder: Path, captions: Mapping[str, str], kinds: Sequence[str]) -> dict[str, str]:
    if not all(name.isidentifier() for name in captions):
        raise KeyError("a figure's name is no name of a file")
    names = [f"{name}.{kind}" for name in captions for kind in kinds]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
