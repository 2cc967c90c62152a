"""Every figure of a comparison, ready to be written."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.diagnostics import diagnostics
from analysis.drawing import Picture
from analysis.figure_curves import curve_pictures
from analysis.figure_differences import difference_pictures
from analysis.figure_pass_at_k import pass_pictures
from analysis.figure_problems import problem_pictures
from analysis.figure_scores import score_pictures
from analysis.figure_trajectories import trajectory_pictures
from analysis.results import Results

SUBJECTS = (
    curve_pictures,
    score_pictures,
    difference_pictures,
    pass_pictures,
    problem_pictures,
    trajectory_pictures,
    diagnostics,
)
"""Makers of figures in the order of pages; each gives none where the runs have recorded nothing for it."""


def pictures(results: Results) -> Iterator[Picture]:
    """Every figure that these results give; none without a score.

    Args:
        results: with at least one evaluated run for anything to be drawn.
    """
    if results.evaluations:
        for subject in SUBJECTS:
            yield from subject(results)
