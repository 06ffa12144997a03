"""How commands that speak to a running Axon find it."""

from axon.app.folders import DataFolder
from axon.app.up import read_running
from axon.base import AxonError


class NothingRuns(AxonError):
    """No Axon runs with this data folder: start `axon up`, or name --base-url and --api-key."""


def reached(folder: DataFolder, base_url: object, api_key: object) -> tuple[str, str]:
    """Return the address and the key to use; raises NothingRuns when one is not known."""
    running = read_running(folder)
    address = str(base_url or (running.base_url if running else ""))
    try:
        key = str(api_key or folder.development_key.read_text().strip())
    except FileNotFoundError:
        key = ""
    if not address or not key:
        raise NothingRuns(str(folder.root))
    return address, key
