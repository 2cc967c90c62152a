"""The content of a benchmark as hashes: one for each problem and one for the whole, without any of its text.

Hashed is normalised text: Unicode NFC, every run of white space one blank, none at the ends. So a copy that differs
in line breaks, blanks or composed characters only is the same benchmark. A gold answer that is a whole number counts
as that number however it is written. Everything else counts, LaTeX spelling included: what the model reads differs.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from eval.benchmarks.schema import AnswerKind, Problem

NORMALISATION = "NFC, white space collapsed"
"""As the manifests name it."""
_WHOLE = re.compile(r"-?[0-9]+(\.0*)?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One problem's hashes."""

    id: str
    problem: str
    """16 hex digits of the normalised text."""
    answer: str
    """16 hex digits of id and normalised answer, so that equal answers of two problems look different."""


def normalised(text: str) -> str:
    """The text as it is hashed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def normalised_answer(answer: str, kind: AnswerKind) -> str:
    """The gold answer as it is hashed; AIME's 033 and a float column's 142.0 are 33 and 142."""
    text = normalised(answer)
    return str(int(text.partition(".")[0])) if kind == "integer" and _WHOLE.fullmatch(text) else text


def entry(problem: Problem, kind: AnswerKind) -> Entry:
    """The hashes of a problem."""
    answer = normalised_answer(problem.answer, kind)
    return Entry(problem.id, text_digest(problem.problem), _hash(problem.id, answer))


def text_digest(text: str) -> str:
    """16 hex digits of a problem's normalised text."""
    return _hash(normalised(text))


def content_digest(entries: Iterable[Entry]) -> str:
    """16 hex digits of a whole benchmark; the order of its problems does not count."""
    lines = sorted(f"{item.id}\t{item.problem}\t{item.answer}" for item in entries)
    return _hash(*lines)


@cache
def manifest(name: str) -> tuple[Entry, ...] | None:
    """The hashes of a benchmark's problems in its order; None where the project has none."""
    path = files("eval.benchmarks") / "manifests" / f"{name}.json"
    if not path.is_file():
        return None
    rows = json.loads(path.read_text(encoding="utf-8"))["problems"]
    return tuple(Entry(*row) for row in rows)


def manifest_text(name: str, entries: Iterable[Entry]) -> str:
    """The content of a manifest's file, one problem a line."""
    rows = ",\n".join(f"  {json.dumps([item.id, item.problem, item.answer])}" for item in entries)
    head = json.dumps({"benchmark": name, "normalisation": NORMALISATION})[:-1]
    return f'{head}, "columns": ["id", "problem", "answer"], "problems": [\n{rows}\n]}}\n'


def _hash(*parts: str) -> str:
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        raw = part.encode()
        state.update(len(raw).to_bytes(8, "big") + raw)
    return state.hexdigest()
