"""Dashboards as W&B has them: a workspace for each sweep, and one report over all of them.

W&B is imported when it is needed: a description (`analysis.dashboards`) can be made without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from analysis.dashboards import Bars, Dashboard, Panel, Section, TableOf, Words
from prefix_rft.runs.atomic import write_json
from prefix_rft.runs.tracking_row import EVALUATE

_LONGEST_TITLE = 128
_MOST_RUNS = 100
"""Runs of a panel; W&B shows 10 where nothing is said."""
_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 6
"""Panels side by side, and the size of one on the 24 columns of a report."""


def workspace(dashboard: Dashboard, entity: str) -> Any:
    """The sweep's workspace: its runs by tag, grouped by the row of the sweep's table."""
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr

    made = ws.Workspace(
        entity=entity,
        project=dashboard.project,
        name=dashboard.title,
        sections=[_section(section, dashboard) for section in dashboard.sections],
        settings=ws.WorkspaceSettings(max_runs=_MOST_RUNS),
        runset_settings=ws.RunsetSettings(
            filters=expr.And(expr.Tags().isin([dashboard.sweep])),
            groupby=[expr.Config(dashboard.group)],
            group_colors=dict(dashboard.colours),
            pinned_columns=list(dashboard.columns),
        ),
    )
    made._internal_name = view_name(dashboard.sweep)
    made._internal_runset_id = _digest("runs", dashboard.sweep)
    return made


def report(dashboards: Sequence[Dashboard], entity: str) -> Any:
    """One report over sweeps: for each its scores, then its curves."""
    import wandb_workspaces.reports.v2 as wr

    blocks: list[Any] = [wr.TableOfContents()]
    for dashboard in dashboards:
        blocks += [wr.H1(dashboard.title), *_blocks(dashboard)]
    return wr.Report(
        project=dashboards[0].project,
        entity=entity,
        title=report_title(dashboards),
        description="Made by `prefix-rft dashboards`. Tables with tests and intervals: `prefix-rft report`.",
        blocks=blocks,
        width="fluid",
    )


def report_title(dashboards: Sequence[Dashboard]) -> str:
    """The report's name: a report of the same sweeps is replaced, those of others stay."""
    title = f"Prefix-RFT: {', '.join(one.sweep for one in dashboards)}"
    return title if len(title) <= _LONGEST_TITLE else f"Prefix-RFT: {len(dashboards)} sweeps"


def view_name(sweep: str) -> str:
    """W&B's name of the sweep's workspace: the same each time, so that it is made once and then replaced."""
    return f"nw-{_digest('workspace', sweep)}-v"


def write_specifications(dashboards: Sequence[Dashboard], folder: Path) -> list[Path]:
    """Write what would be sent to a server: a file for each workspace, and one for the report.

    Raises:
        RunError: the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entity = dashboards[0].entity or ""
    files = {f"{one.sweep}.workspace.json": _view(workspace(one, entity)) for one in dashboards}
    files["report.json"] = _report_view(report(dashboards, entity))
    for name, content in files.items():
        write_json(folder / name, content)
    return [folder / name for name in files]


def read_workspace(path: Path) -> Any:
    """The workspace that a file of `write_specifications` describes."""
    from wandb_workspaces.workspaces import Workspace
    from wandb_workspaces.workspaces.internal import View, WorkspaceViewspec

    content = json.loads(path.read_text(encoding="utf-8"))
    spec = WorkspaceViewspec.model_validate(content["spec"])
    names = {"entity": content["entity"], "project": content["project"], "id": ""}
    return Workspace._from_model(
        View(display_name=content["displayName"], name=content["name"], spec=spec, **names)
    )


def read_report(path: Path) -> Any:
    """The report that a file of `write_specifications` describes."""
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.reports.v2.internal import ReportViewspec

    view = ReportViewspec.model_validate(json.loads(path.read_text(encoding="utf-8")))
    made = Report._from_model(view)
    made.width = view.spec.width  # which W&B's own reader forgets
    return made


def _view(made: Any) -> dict[str, Any]:
    view = made._to_model()
    spec = view.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {
        "entity": view.entity,
        "project": view.project,
        "type": "project-view",
        "name": view.name,
        "displayName": view.display_name,
        "spec": spec,
    }


def _report_view(made: Any) -> dict[str, Any]:
    view: dict[str, Any] = made._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
    return view | {"type": "runs"}


def _section(section: Section, dashboard: Dashboard) -> Any:
    import wandb_workspaces.workspaces as ws

    return ws.Section(
        name=section.name,
        panels=[_named(_panel(one, dashboard), dashboard, one) for one in section.panels],
        is_open=section.is_open,
        layout_settings=ws.SectionLayoutSettings(columns=_COLUMNS, rows=-(-len(section.panels) // _COLUMNS)),
    )


def _panel(panel: Panel, dashboard: Dashboard) -> Any:
    import wandb_workspaces.reports.v2 as wr

    if isinstance(panel, Words):
        return wr.MarkdownPanel(markdown=panel.text)
    if isinstance(panel, TableOf):
        return wr.WeavePanelSummaryTable(table_name=panel.name)
    grouped: dict[str, Any] = {
        "title": panel.title,
        "groupby": wr.Config(dashboard.group),
        "groupby_aggfunc": "mean",
        "groupby_rangefunc": "minmax",
        "max_runs_to_show": _MOST_RUNS,
    }
    if isinstance(panel, Bars):
        return wr.BarPlot(metrics=[panel.metric], range_x=(0, 1), **grouped)
    return wr.LinePlot(
        x=panel.axis,
        y=[panel.metric],
        title_x=panel.axis.replace("_", " "),
        range_y=(0, 1) if panel.share else (None, None),
        **grouped,
    )


def _named(made: Any, *what: object) -> Any:
    """The same panel has the same id each time: the same dashboard is the same file."""
    made._id = _digest(*what)
    return made


def _blocks(dashboard: Dashboard) -> Iterator[Any]:
    import wandb_workspaces.reports.v2 as wr

    for section in dashboard.sections:
        yield wr.H2(section.name)
        yield from (wr.MarkdownBlock(one.text) for one in section.panels if isinstance(one, Words))
        shown = [one for one in section.panels if not isinstance(one, Words)]
        for jobs, panels in (((EVALUATE,), _scored(shown)), (("train", "base"), _trained(shown))):
            if panels:
                yield _grid(dashboard, section.name, jobs, panels)


def _scored(panels: Iterable[Panel]) -> list[Panel]:
    """Panels of evaluations, which are rows of their own."""
    return [
        one for one in panels if isinstance(one, Bars) or (isinstance(one, TableOf) and "eval" in one.name)
    ]


def _trained(panels: Sequence[Panel]) -> list[Panel]:
    scored = _scored(panels)
    return [one for one in panels if one not in scored]


def _grid(dashboard: Dashboard, section: str, jobs: Sequence[str], panels: Sequence[Panel]) -> Any:
    import wandb_workspaces.reports.v2 as wr

    made = [_named(_panel(one, dashboard), dashboard.sweep, section, one) for one in panels]
    for index, one in enumerate(made):
        row, column = divmod(index, _COLUMNS)
        one.layout = wr.Layout(x=column * _WIDTH, y=row * _HEIGHT, w=_WIDTH, h=_HEIGHT)
    return wr.PanelGrid(runsets=[_runs(dashboard, section, jobs)], panels=made)


def _runs(dashboard: Dashboard, section: str, jobs: Sequence[str]) -> Any:
    """A run set of the report's own project, which W&B knows without its name."""
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    runs = wr.Runset(
        name=f"{dashboard.sweep}: {' and '.join(jobs)}",
        filters=expr.And(expr.Tags().isin([dashboard.sweep]), expr.Metric("JobType").isin(list(jobs))),
        groupby=[f"config.{dashboard.group}"],
    )
    runs._id = _digest(dashboard.sweep, section, *jobs)
    return runs


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:11]
