"""What a sweep's dashboard shows: panels of curves and scores, one line or bar for each row of the sweep's table.

Plain descriptions; `analysis.dashboards_wandb` makes W&B's objects of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.cells import Cell
from analysis.style import looks
from prefix_rft.runs.tracking_row import BASE_STEP, ROLLOUT_STEP, ROW, SFT_STEP
from prefix_rft.runs.tracking_tables import RESPONSES, SAMPLES, SCORES

Axis = Literal["rollout_step", "sft_step", "base_step"]


@dataclass(frozen=True)
class Lines:
    """A metric against a step: one line a row, the mean over its runs, with the range of its runs."""

    title: str
    metric: str
    axis: str = ROLLOUT_STEP
    share: bool = False
    """Between 0 and 1."""


@dataclass(frozen=True)
class Bars:
    """A score of the evaluations: one bar a row, the mean over its runs, with the same range."""

    title: str
    metric: str


@dataclass(frozen=True)
class TableOf:
    """A table that the runs carry."""

    name: str


@dataclass(frozen=True)
class Words:
    """Markdown."""

    text: str


Panel = Lines | Bars | TableOf | Words


@dataclass(frozen=True)
class Section:
    """Panels under one heading."""

    name: str
    panels: tuple[Panel, ...]
    is_open: bool = True


@dataclass(frozen=True)
class Dashboard:
    """One sweep's dashboard."""

    sweep: str
    """Its file; every run of it has it among its tags."""
    title: str
    project: str
    entity: str | None
    """W&B team or user; None is the account's default."""
    colours: Mapping[str, str]
    """By row, as in the figures of the report."""
    sections: tuple[Section, ...]

    @property
    def group(self) -> str:
        """Key of the runs' configuration that names their row in this sweep's table."""
        return f"{ROW}.{self.sweep}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the list of runs: what tells them apart, and their scores."""
        scores = [
            panel.metric for section in self.sections for panel in section.panels if isinstance(panel, Bars)
        ]
        return ("run:displayName", "run:jobType", "run:state", *(f"summary:{name}" for name in scores))


LEARNING = (
    Lines("Reward of ordinary rollouts", "train/reward", share=True),
    Lines("Validation accuracy", "validation/accuracy", share=True),
    Lines("Reward of hybrid rollouts", "train/reward_hybrid", share=True),
    Lines("Reward, hybrid minus ordinary", "train/reward_gap"),
)
PREFIXES = (
    Lines("Prefix in a hybrid response (share)", "train/prefix_share", share=True),
    Lines("Imitated among updated tokens (share)", "train/imitated_share", share=True),
    Lines("Response length (tokens)", "train/response_length"),
    Lines("Response length of hybrids (tokens)", "train/response_length_hybrid"),
    Lines("Cut at the longest length (share)", "train/truncated", share=True),
)
GRADIENTS = (
    Lines("Entropy of explored tokens (nats)", "train/entropy"),
    Lines("Entropy of imitated tokens (nats)", "train/entropy_imitated"),
    Lines("Gradient norm before clipping", "train/grad_norm"),
    Lines("Gradient norm, imitated tokens", "train/grad_norm_imitated"),
    Lines("Gradient norm, explored tokens", "train/grad_norm_explored"),
    Lines("Imitated tokens' part of the gradient (share)", "train/grad_share_imitated", share=True),
    Lines("Clipped ratios (share)", "train/clip_fraction", share=True),
    Lines("KL from the policy that made the rollouts (estimate)", "train/approx_kl"),
)
IMITATION = (
    Lines("SFT loss", "train/loss", SFT_STEP),
    Lines("Validation accuracy in SFT", "validation/accuracy", SFT_STEP, share=True),
    Lines("Loss of the base model", "train/loss", BASE_STEP),
)
DIAGNOSTICS = (
    Lines("Learning rate", "train/learning_rate"),
    Lines("Seconds a step", "time/step"),
    Lines("Seconds of sampling", "time/generate"),
    Lines("Seconds of updating", "time/update"),
    Lines("Validation: no answer found (share)", "validation/no_answer_share", share=True),
    Lines("Validation: cut at the longest length (share)", "validation/truncated_share", share=True),
    Lines("Verdicts that took too long", "train/grading/timeout"),
)


def dashboard(
    sweep: str,
    title: str,
    *,
    project: str,
    entity: str | None,
    cells: Sequence[Cell],
    scores: Mapping[str, str],
    words: Iterable[str] = (),
) -> Dashboard:
    """The dashboard of a sweep.

    Args:
        sweep: its file.
        title: what it is called in a report.
        project: W&B project of its runs.
        entity: W&B team or user.
        cells: the sweep's; their labels are the rows.
        scores: key in the runs' summaries -> title.
        words: paragraphs that say what it is, above the scores.
    """
    bars = tuple(Bars(title, key) for key, title in scores.items())
    results: tuple[Panel, ...] = (Words("\n\n".join(words)), *bars, TableOf(SCORES))
    return Dashboard(
        sweep=sweep,
        title=title,
        project=project,
        entity=entity,
        colours={
            row: look.colour for row, look in looks((cell.label, cell.method) for cell in cells).items()
        },
        sections=(
            Section("Scores", results),
            Section("Learning", LEARNING),
            Section("Prefixes and lengths", PREFIXES),
            Section("Entropy and gradients", GRADIENTS),
            Section("Imitation", IMITATION, is_open=False),
            Section("Samples", (TableOf(SAMPLES), TableOf(RESPONSES)), is_open=False),
            Section("Diagnostics", DIAGNOSTICS, is_open=False),
        ),
    )
