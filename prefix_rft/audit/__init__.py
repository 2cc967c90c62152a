"""The fair-baseline check: every method's update, measured against what its gradient must be."""

from prefix_rft.audit.backends import installed
from prefix_rft.audit.report import AuditReport, CaseReport, Figure

__all__ = ["AuditReport", "CaseReport", "Figure", "installed"]
