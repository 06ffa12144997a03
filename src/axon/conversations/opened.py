"""Windows this process has opened already, least recently used ones dropped first."""

from collections import OrderedDict

from axon.base import MIB
from axon.conversations.history import OpenedWindow

OPENED_BYTES_MAX = 256 * MIB
"""Of opened content in memory: some ten thousand conversations of ordinary length."""


class OpenedWindows:
    """A bounded memory of opened windows; each is true for its head only, so ask who knows it."""

    def __init__(self, bytes_max: int = OPENED_BYTES_MAX) -> None:
        """Hold at most about `bytes_max` bytes of opened items."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._windows: OrderedDict[str, OpenedWindow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    def get(self, conversation_id: str) -> OpenedWindow | None:
        """Return the window as this process last saw it; it may be out of date."""
        window = self._windows.get(conversation_id)
        if window is not None:
            self._windows.move_to_end(conversation_id)
        return window

    def put(self, conversation_id: str, window: OpenedWindow) -> None:
        """Remember the window, in place of an earlier one."""
        self.drop(conversation_id)
        self._windows[conversation_id] = window
        self._bytes += window.opened_bytes
        while self._bytes > self._bytes_max:
            _, oldest = self._windows.popitem(last=False)
            self._bytes -= oldest.opened_bytes

    def drop(self, conversation_id: str) -> None:
        """Forget the window, if there is one."""
        window = self._windows.pop(conversation_id, None)
        if window is not None:
            self._bytes -= window.opened_bytes
