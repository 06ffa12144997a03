"""Compares journal, PostgreSQL and Valkey, and names every difference."""

from axon.app.reconcile.comparing import ProjectorBehind, Stage, reconcile
from axon.app.reconcile.difference import Difference, Report, Total

__all__ = ["Difference", "ProjectorBehind", "Report", "Stage", "Total", "reconcile"]
