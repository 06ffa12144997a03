"""Deleting what nobody needs any more."""

from itertools import pairwise
from pathlib import Path

from axon.journal.disk import Disk
from axon.journal.segments import list_segments, read_segment_header, segment_path


def retire_segments(
    directory: Path, projected_through: int, created_before_us: int, disk: Disk
) -> list[Path]:
    """Delete and return the segments that PostgreSQL has and that are old enough; blocks.

    A segment is as old as the making of the next one. Oldest first, and never one behind another
    that stays, so that what a crash leaves is still one dense journal; the last always stays.
    """
    segments = list_segments(directory)
    retired: list[Path] = []
    for first, following in pairwise(segments):
        if following > projected_through + 1:
            break
        if read_segment_header(directory, following).created_us > created_before_us:
            break
        path = segment_path(directory, first)
        for copy in directory.glob(f"{path.stem}.*.torn"):
            disk.unlink(copy)
        disk.unlink(path)
        retired.append(path)
    if retired:
        disk.sync_directory(directory)
    return retired
