"""Saves dashboards to a W&B server; what is there under the same name is replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from analysis.dashboards import Dashboard
from analysis.dashboards_wandb import report, view_name, workspace
from prefix_rft.errors import PrefixRftError


class ServerError(PrefixRftError):
    """A W&B server refuses, cannot be reached, or does not know who asks."""


def save(dashboards: Sequence[Dashboard]) -> dict[str, str]:
    """Save the report, which makes the project where there is none, and every workspace.

    Returns:
        Addresses by name.

    Raises:
        ServerError: what the server or the client says; what was saved before stays there.
    """
    with _refusals():
        entity = _entity(dashboards[0])
        saved = {"report": _save_report(dashboards, entity)}
        for dashboard in dashboards:
            saved[dashboard.sweep] = _save_workspace(dashboard, entity)
    return saved


def _entity(dashboard: Dashboard) -> str:
    import wandb

    entity = dashboard.entity or wandb.Api().default_entity
    if not entity:
        raise ServerError("the W&B account has no default team or user; name one: tracking.entity=<name>")
    return str(entity)


def _save_workspace(dashboard: Dashboard, entity: str) -> str:
    made = workspace(dashboard, entity)
    made._internal_id = _workspace_id(dashboard, entity)
    return str(made.save().url)


def _workspace_id(dashboard: Dashboard, entity: str) -> str:
    from wandb_workspaces.workspaces.internal import View

    try:
        return str(View.from_name(entity, dashboard.project, view_name(dashboard.sweep)).id)
    except ValueError as error:  # W&B's client has no other word for a workspace that is not there
        if "not found in project" not in str(error):
            raise
        return ""


def _save_report(dashboards: Sequence[Dashboard], entity: str) -> str:
    made = report(dashboards, entity)
    made.id = _report_id(entity, made.project, made.title)
    return str(made.save().url)


def _report_id(entity: str, project: str, title: str) -> str:
    import wandb

    api = wandb.Api()
    if project not in {str(one.name) for one in api.projects(entity)}:
        return ""
    found: Any = api.reports(f"{entity}/{project}", name=title)
    return next((str(one.id) for one in found), "")


@contextmanager
def _refusals() -> Iterator[None]:
    """Whatever goes wrong between here and the server, in one sentence with the next step."""
    try:
        yield
    except PrefixRftError:
        raise
    except Exception as error:
        raise ServerError(
            f"the dashboards cannot be saved to W&B: {type(error).__name__}: {error}. Look at WANDB_API_KEY and "
            "WANDB_BASE_URL (or `wandb login`); with tracking=offline they are written as files."
        ) from error
