"""Follows the folder of flags: what it holds becomes a change like any other, or none."""

import asyncio
from contextlib import suppress
from pathlib import Path

from axon.base import Clock
from axon.flags.changing import Asked, FlagChanges
from axon.flags.errors import DefinitionInvalid
from axon.flags.folder import FolderRead, FolderUnusable, Signature, blamed, folder_signature
from axon.flags.folder import read_folder as read_files
from axon.flags.refusals import FlagsUnavailable
from axon.journal import JournalError
from axon.stores import Health
from axon.telemetry import counter, gauge, log

LOOK_EVERY_S = 0.2
"""A look costs a `stat` of each file, in a thread."""

AGAIN_EVERY_S = 1.0
"""After an outage, and after files that could not be used: that may be for flags elsewhere."""

_unusable = gauge("axon_flags_folder_unusable", "1 while the folder's files cannot be used.")
_refused = counter("axon_flags_folder_refused_total", "Times the folder's files were refused.")


class FolderWatch:
    """One for each serving process that is given a folder; whichever is first makes the change."""

    def __init__(self, folder: Path, changes: FlagChanges, clock: Clock) -> None:
        """Nothing is read yet."""
        self._folder = folder
        self._changes = changes
        self._clock = clock
        self._taken: Signature | None = None
        self._stopped = asyncio.Event()
        self._health = Health(True, clock.now_us(), "")

    @property
    def health(self) -> Health:
        """Return whether the flags are those of the files, since when, and why not."""
        return self._health

    async def watch(self) -> None:
        """Look until it is stopped."""
        while not self._stopped.is_set():
            waits_s = LOOK_EVERY_S
            try:
                await self._look()
                self._tell("")
            except (FolderUnusable, FlagsUnavailable, JournalError) as error:
                self._tell(str(error))
                waits_s = AGAIN_EVERY_S
            with suppress(TimeoutError):
                async with asyncio.timeout(waits_s):
                    await self._stopped.wait()

    def stop(self) -> None:
        """Look no more once the look that has begun is over."""
        self._stopped.set()

    async def _look(self) -> None:
        """Take over the files if they changed; raises why they cannot be, and keeps what is."""
        signature = await asyncio.to_thread(folder_signature, self._folder)
        if signature == self._taken:
            return
        found = await asyncio.to_thread(read_files, self._folder)
        changed = await self._make(found)
        self._taken = found.signature
        log.info(
            "flags.folder-read",
            "The flags are those of the folder.",
            file__path=str(self._folder),
            axon__flags__changed=changed,
        )

    async def _make(self, found: FolderRead) -> int:
        files = ", ".join(sorted(set(found.whence.values())))
        why = f"as in {files or 'an empty folder'}"[:500]
        try:
            asked = Asked(origin="folder", why=why, wanted=found.definitions)
            return len((await self._changes.make(asked)).versions)
        except DefinitionInvalid as error:
            raise FolderUnusable(blamed(found, error)) from error

    def _tell(self, reason: str) -> None:
        """Say it once for each reason."""
        _unusable.set(bool(reason))
        if reason == self._health.reason:
            return
        changed = bool(reason) == self._health.up
        since_us = self._clock.now_us() if changed else self._health.since_us
        self._health = Health(not reason, since_us, reason)
        if reason:
            _refused.inc()
            log.warning(
                "flags.folder-unusable",
                "The flags stay as they were: those of the folder cannot be taken over.",
                file__path=str(self._folder),
                error__message=reason,
            )
