"""`python -m eval.protocols.reference`: writes the tables of docs/protocols.md from the registry and the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from eval.benchmarks import BENCHMARKS, GROUPS, Benchmark
from eval.protocols.catalogue import LUFFY_SYSTEM, PROTOCOLS
from eval.protocols.schema import EvaluationProtocol, FamilyForm

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
_THINK = {
    "whole": "the whole response",
    "after_close": "what follows `</think>`; everything where there is none",
    "required": "what follows `</think>`; wrong where there is none",
}


def protocols() -> str:
    """The protocols side by side."""
    shown = list(PROTOCOLS.values())
    rows: dict[str, Callable[[EvaluationProtocol], str]] = {
        "system text": _system,
        "user message": lambda item: _code(item.user),
        "response begins with": lambda item: (
            _code(item.assistant_start) if item.assistant_start else "nothing"
        ),
        "rendered by": lambda item: "chat template" if item.rendering == "tokenizer" else "line feeds",
        "other families": _families,
        "temperature": lambda item: f"{item.temperature:g}",
        "top_p": lambda item: f"{item.top_p:g}",
        "longest response": lambda item: f"{item.max_tokens} tokens",
        "graded": lambda item: _THINK[item.grading.think],
        "answer by": lambda item: ", ".join(item.grading.extract),
        "compared by": lambda item: item.grading.verifier,
    }
    head = ["", *(item.title for item in shown)]
    return _table(head, [[name, *(tell(item) for item in shown)] for name, tell in rows.items()])


def sources() -> str:
    """Where each protocol comes from and how it departs from that."""
    lines = []
    for item in PROTOCOLS.values():
        lines += [f"**{item.title}** (`protocol={item.name}`): {item.source}.", ""]
        lines += [*(f"- {note}" for note in item.notes), ""]
    return "\n".join(lines[:-1])


def benchmarks() -> str:
    """The benchmarks."""
    head = ["name", "title", "problems", "samples", "answer", "content", "file", "hub"]
    return _table(head, [_benchmark(item) for item in BENCHMARKS.values()])


def groups() -> str:
    """The groups of benchmarks."""
    return _table(
        ["group", "benchmarks"], [[f"`{name}`", ", ".join(names)] for name, names in GROUPS.items()]
    )


TABLES = {"protocols": protocols, "sources": sources, "benchmarks": benchmarks, "groups": groups}


def updated(page: str) -> str:
    """The page with its tables as they are now."""
    for name, table in TABLES.items():
        before, begin, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        page = f"{before}{begin}{table()}\n{end}{after}"
    return page


def _benchmark(item: Benchmark) -> list[str]:
    hub = item.hub
    config = f" ({hub.config})" if hub.config else ""
    at = f" at {hub.revision[:7]}" if hub.revision else ", newest"
    counts = [str(item.problems), str(item.samples)]
    content = f"`{item.digest}`" if item.digest else "not known"
    return [
        f"`{item.name}`",
        item.title,
        *counts,
        item.answer,
        content,
        item.file,
        f"{hub.repository}{config}{at}",
    ]


def _system(item: EvaluationProtocol) -> str:
    return {None: "none", LUFFY_SYSTEM: "LUFFY's"}.get(item.system, "its own")


def _families(item: EvaluationProtocol) -> str:
    return "; ".join(f"{name}: {_form(form)}" for name, form in item.families.items()) or "alike"


def _form(form: FamilyForm) -> str:
    system = "no system text, " if form.system is None else ""
    return f"{system}{_code(form.user + form.assistant_start)}, graded {_THINK[form.think]}"


def _code(text: str) -> str:
    """A text in one cell, line feeds shown."""
    shown = text.replace("\n", "\\n")
    return f"`{shown}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
