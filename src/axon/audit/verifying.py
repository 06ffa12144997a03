"""Is a journal still what it was when it was signed? Everything that is not is found and named."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from axon.audit.checkpoints import Checkpoint, is_signed, wrong_among
from axon.journal import JournalError, inspect, verify_chain


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of verifying one journal."""

    instance: str
    entries: int
    """That were followed."""
    through: int
    """The last entry that is what it was."""
    checkpoints: int
    signed_through: int
    """Entries behind it are bound by the hash chain alone."""
    findings: list[str]
    """The first divergence of the journal, and what is wrong with its checkpoints."""


def verify_journal(
    directory: Path,
    checkpoints: Sequence[Checkpoint],
    public_key: bytes,
    kept_from_us: int,
    progress: Callable[[int, int], None],
) -> Verdict:
    """Follow a journal from its oldest entry, and hold it against what was signed; blocks for long.

    No segment begun after `kept_from_us` may be gone. Raises OSError.
    """
    believed = [one for one in checkpoints if is_signed(one, public_key)]
    findings = wrong_among(checkpoints, {one.number for one in believed})
    signed = {one.sequence: one.hash for one in believed}
    report = verify_chain(directory, signed, progress)
    findings += [f"{one.path} at byte {one.offset}: {one.finding}" for one in report.findings]
    try:
        summary = inspect(directory)
    except JournalError as error:
        findings += [] if report.findings else [str(error)]
    else:
        if summary.instance != directory.name:
            findings.append(f"{directory} holds the journal of {summary.instance}")
        first = summary.segments[0].first_sequence
        gone = [
            one.sequence
            for one in checkpoints
            if one.sequence < first and one.segment < first and one.segment_us > kept_from_us
        ]
        if gone:
            findings.append(f"entries through {max(gone)} are gone, and were to be kept longer")
    return Verdict(
        instance=directory.name,
        entries=report.entries,
        through=report.through,
        checkpoints=len(checkpoints),
        signed_through=max(signed, default=0),
        findings=findings,
    )
