"""What clients that decide by themselves are told: the flags of a running Axon."""

import threading
from collections.abc import Iterator

import msgspec

from axon.app.flags_client import FlagsClient, FlagsRefused
from axon.flags import FlagsError, for_flagd
from axon.telemetry import log

LOOK_EVERY_S = 0.5
"""How old what clients have may be, beside the time on the way."""

_SAY_NOTHING_S = 5.0
"""How often who waits for news is looked after: a stream whose client has gone is let go then."""


class FlagSource:
    """Asks an Axon again and again, and holds what it said last while it is away.

    Threads of streams wait in it; it blocks none of Axon's.
    """

    def __init__(self, client: FlagsClient, hashing: str) -> None:
        """`hashing` is how clients place people, v2 or v3. Nothing is known until `look`."""
        self._client = client
        self._hashing = hashing
        self._news = threading.Condition()
        self._over = threading.Event()
        self.document = b""
        self.left_out: dict[str, str] = {}
        """Why each flag that is not in the document is not."""
        self._away = False

    def look(self) -> None:
        """Ask once; raises FlagsRefused, or FlagsError for what this version cannot read."""
        page = self._client.all(archived=False)
        definitions = {one.key: msgspec.json.encode(one.definition) for one in page.data}
        document, left_out = for_flagd(definitions, self._hashing)
        for name in sorted(left_out.keys() - self.left_out.keys()):
            log.warning("flag-sync.left-out", f"{name} is left out: {left_out[name]}")
        with self._news:
            self.left_out = left_out
            if document != self.document:
                self.document = document
                self._news.notify_all()

    def keep_looking(self) -> None:
        """Ask until `stop`; an Axon that is away is one log line, and one when it is back."""
        while not self._over.wait(LOOK_EVERY_S):
            try:
                self.look()
            except (FlagsRefused, FlagsError) as error:
                if not self._away:
                    log.warning("flag-sync.away", f"The last flags go on: {error}")
                self._away = True
                continue
            if self._away:
                log.info("flag-sync.back", "Axon says its flags again.")
            self._away = False

    def documents(self) -> Iterator[bytes | None]:
        """Yield the document, and again when it is another; None now and then. Ends with `stop`."""
        told = b""
        while not self._over.is_set():
            with self._news:
                if self.document == told:
                    self._news.wait(_SAY_NOTHING_S)
                news = self.document if self.document != told else None
            told = told if news is None else news
            yield news

    def stop(self) -> None:
        """Let every stream go; may be repeated."""
        self._over.set()
        with self._news:
            self._news.notify_all()
