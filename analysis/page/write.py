"""Writes the page: templates filled, styles, script, figures and data inside, nothing fetched from anywhere."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.page import views
from analysis.page.glance import glance
from analysis.page.runs import Run, data, runs_of
from analysis.page.sheet import Sheet, data_uri
from analysis.page.text import script_json, visible
from prefix_rft.runs.atomic import write_text
from prefix_rft.runs.store import Store

PAGE_FILE = "index.html"
SCRIPTS = ("dom.js", "tables.js", "curves.js", "responses.js", "run.js", "page.js")
"""Parts of the page's script, each using those before it."""


def write_page(folder: Path, sheets: Sequence[Sheet], store: Store, *, title: str, date: str) -> Path:
    """Write index.html; the same runs and date give the same bytes.

    Args:
        folder: made where it is missing.
        sheets: the sweeps, in the order of the page.
        store: where their runs are.
        title: heading of the page.
        date: shown on it.

    Raises:
        RunError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PAGE_FILE
    write_text(path, html(sheets, store, title=title, date=date), durable=False)
    return path


def html(sheets: Sequence[Sheet], store: Store, *, title: str, date: str) -> str:
    """The page; see `write_page`."""
    runs = runs_of(store, sheets)
    style, script = _asset("style.css"), "\n".join(map(_asset, SCRIPTS))
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            date=date,
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
            payload=Markup(script_json(data(store, sheets, runs))),
            overview=views.overview_table(sheets) if len(sheets) > 1 else None,
            sweeps=[_sweep(sheet) for sheet in sheets],
            all_runs=views.runs_table(runs, len(sheets) > 1),
            counts=_counts(runs),
            sources=_sources(runs),
        )
    )


def _asset(name: str) -> str:
    return (resources.files("analysis.page") / "assets" / name).read_text("utf-8")


def _environment() -> Environment:
    """Every value is escaped and shows its invisible characters; a missing one is an error."""
    environment = Environment(
        loader=PackageLoader("analysis.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters["download"] = lambda text: data_uri(
        "text/plain;charset=utf-8", text.encode(errors="replace")
    )
    return environment


def _policy(style: str, script: str) -> str:
    """Nothing may run, be drawn or be fetched but what this module put into the page."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(content: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(content.encode()).digest()).decode('ascii')}"


def _sweep(sheet: Sheet) -> dict[str, Any]:
    tables = [
        {
            "title": section.title,
            "text": section.text,
            "after": section.after,
            "view": views.of_table(
                f"{sheet.name}-{section.key}",
                section.table,
                section.key,
            ),
        }
        for section in sheet.sections
    ]
    return {"sheet": sheet, "facts": glance(sheet), "tables": tables, "cells": views.cells_table(sheet)}


def _counts(runs: Sequence[Run]) -> list[tuple[str, int]]:
    """How many runs stand where, by the word that they are coloured by."""
    words = [views.state_word(run.record.standing) for run in runs]
    return [(word, words.count(word)) for word in dict.fromkeys(words)]


def _sources(runs: Sequence[Run]) -> list[tuple[str, int]]:
    """Commits, machines and versions that the runs were made with, and by how many."""
    found: dict[str, int] = {}
    for run in runs:
        for line in _source(run):
            found[line] = found.get(line, 0) + 1
    return list(found.items())


def _source(run: Run) -> list[str]:
    record = run.record.provenance
    source, cpu, packages = (
        record.get("source") or {},
        record.get("cpu") or {},
        record.get("packages") or {},
    )
    code = f"code at {source['commit']}" if source.get("commit") else "code at an unknown commit"
    dirty = ", with uncommitted changes" if source.get("dirty") else ""
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    machine = f"{cpu['model'] or 'unknown processor'}, {cpu['usable']} of {cpu['count']} cores" if cpu else ""
    return [line for line in (code + dirty, machine, versions) if line]
