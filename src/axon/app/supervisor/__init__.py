"""Starts processes, restarts those that die, and stops them in order."""

from axon.app.supervisor.backoff import Backoff
from axon.app.supervisor.child import Child
from axon.app.supervisor.supervisor import Change, RoleFailed, Supervisor

__all__ = ["Backoff", "Change", "Child", "RoleFailed", "Supervisor"]
