"""A disk in a file: ext4 behind a loop device, whose power can be cut.

What a process wrote and nobody flushed is in the file system's memory and in no block of the file,
so a copy of the file, taken while every process stands still, is what a power loss leaves. A disk
that also loses what it was told to flush lies, and is another test's.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from axon.base import MIB

IMAGE_BYTES = 2048 * MIB
"""Sparse: only what is written takes space, and a campaign of hundreds of cycles fits."""

COMMANDS_TAKE_S = 60.0

MOUNT_OPTIONS = "loop,noatime,commit=300"
"""Five minutes between commits of the file system's own: so nothing comes to the disk by chance,
and the image does not change while it is copied."""


class CannotMount(Exception):
    """No file may be mounted here, so no power can be cut; it takes root and loop devices."""


@dataclass(slots=True, kw_only=True)
class LoopDisk:
    """One disk, mounted at a place; its file changes with every power loss."""

    image: Path
    place: Path
    mounted: bool = False

    def make(self) -> None:
        """Make an empty file system and mount it; raises CannotMount."""
        self.place.mkdir(parents=True, exist_ok=True)
        with self.image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        try:
            _run("mkfs.ext4", "-q", str(self.image))
            self._mount()
        except (OSError, subprocess.CalledProcessError) as error:
            raise CannotMount(str(error)) from error

    def copy(self) -> Path:
        """Return a copy of what is on the disk at this moment; nobody may be writing."""
        copy = self.image.with_suffix(".copy")
        _run("cp", "--reflink=auto", "--sparse=always", str(self.image), str(copy))
        return copy

    def become(self, copy: Path) -> None:
        """Go on with a copy; what the file system had only in memory is gone."""
        self.unmount()
        copy.replace(self.image)
        self._mount()

    def unmount(self) -> None:
        """Take the disk away, if it is there; no process may use it."""
        if self.mounted:
            _run("umount", str(self.place))
            self.mounted = False

    def _mount(self) -> None:
        _run("mount", "-o", MOUNT_OPTIONS, str(self.image), str(self.place))
        self.mounted = True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=COMMANDS_TAKE_S)
