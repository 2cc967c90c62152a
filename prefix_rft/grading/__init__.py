"""Grading of responses: the same verdicts are the reward in training and the score in evaluation."""

from prefix_rft.grading.extract import extract
from prefix_rft.grading.grader import Grader, make_grader, version
from prefix_rft.grading.verdict import Counts, GoldCheck, Grade, Status

__all__ = ["Counts", "GoldCheck", "Grade", "Grader", "Status", "extract", "make_grader", "version"]
