"""Lines of a page that stand for something kept elsewhere, so that the page cannot go stale.

A line that is nothing but a link of one of these forms is replaced when the site is built; wherever else the page is
read it is a link that leads there.

    [source: low_end, Class.method](../prefix_rft/schedule.py)   those definitions, without docstrings
    [section: Adding a method](../CONTRIBUTING.md)               that section, without its heading
    [sweeps: what each is for](../sweeps)                        a table of the sweep files

What is named and not there ends the build.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from mkdocs.exceptions import PluginError

_INCLUDE = re.compile(r"^\[(source|section|sweeps): ([^\]]+)\]\(([^)]+)\)$", re.MULTILINE)
_TO_A_PAGE = re.compile(r"\]\(docs/")
Definition = ast.FunctionDef | ast.ClassDef


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Replace the page's includes."""
    root = Path(config.config_file_path).parent
    here = Path(page.file.abs_src_path).parent

    def included(match: re.Match[str]) -> str:
        kind, what, target = match.groups()
        path = (here / target).resolve()
        if not path.is_relative_to(root) or not path.exists():
            raise PluginError(f"{page.file.src_uri}: {match[0]}: there is no {path.name} there")
        try:
            return {"source": source, "section": section, "sweeps": sweep_table}[kind](what, path, root)
        except LookupError as error:
            raise PluginError(f"{page.file.src_uri}: {match[0]}: {error.args[0]}") from None

    return _INCLUDE.sub(included, markdown)


def source(names: str, path: Path, root: Path) -> str:
    """The definitions as one block of code, under the name of their file.

    Raises:
        LookupError: the file defines no such name.
    """
    text = path.read_text(encoding="utf-8")
    found = [_code(text, _find(ast.parse(text), name.strip(), path)) for name in names.split(",")]
    body = "\n\n\n".join(found)
    return f'```python title="{path.relative_to(root).as_posix()}"\n{body}\n```'


def section(heading: str, path: Path, root: Path) -> str:
    """The text under a heading of the second level, up to the next one.

    Raises:
        LookupError: there is no such heading.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if f"## {heading}" not in lines:
        raise LookupError(f"{path.name} has no heading {heading!r}")
    start = lines.index(f"## {heading}") + 1
    end = next((at for at in range(start, len(lines)) if lines[at].startswith("## ")), len(lines))
    return _TO_A_PAGE.sub("](", "\n".join(lines[start:end]).strip())


def sweep_table(_: str, path: Path, root: Path) -> str:
    """Every sweep file of the folder: what it is called, what it reproduces, what it should cost."""
    rows = [
        "| sweep | question | reproduces | toy scale | paper's scale |",
        "|:---|:---|:---|:---|:---|",
    ]
    for file in sorted(path.glob("*.yaml")):
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        cost = dict(said["cost"])
        paper = cost.pop("paper")
        (toy,) = cost.values()
        rows.append(f"| `{file.stem}` | {said['title']} | {said['reproduces']} | {toy} | {paper} |")
    return "\n".join(rows)


def _find(tree: ast.Module, name: str, path: Path) -> Definition:
    inside: ast.Module | Definition = tree
    for part in name.split("."):
        inside = next((one for one in _definitions(inside) if one.name == part), tree)
        if isinstance(inside, ast.Module):
            raise LookupError(f"{path.name} defines no {name}")
    assert not isinstance(inside, ast.Module)
    return inside


def _definitions(scope: ast.Module | Definition) -> Iterator[Definition]:
    return (node for node in scope.body if isinstance(node, Definition))


def _code(text: str, node: Definition) -> str:
    """The definition's own lines, at the margin, without its docstring: the page says that in its own words."""
    lines = text.splitlines()
    start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    kept = list(range(start, (node.end_lineno or node.lineno) + 1))
    if ast.get_docstring(node, clean=False) is not None:
        said = node.body[0]
        kept = [at for at in kept if not said.lineno <= at <= (said.end_lineno or said.lineno)]
    return textwrap.dedent("\n".join(lines[at - 1] for at in kept))
