"""`axon up`: the embedded servers, the engine and every role on one machine, from one command."""

from axon.app.up.folder_lock import AlreadyRunning, FolderLock
from axon.app.up.plan import Plan
from axon.app.up.running import Running, read_running
from axon.app.up.up import run_up

__all__ = ["AlreadyRunning", "FolderLock", "Plan", "Running", "read_running", "run_up"]
