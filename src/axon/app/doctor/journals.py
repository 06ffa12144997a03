"""Checks of the journals, and of how far PostgreSQL is behind them."""

import asyncio

from axon.app.doctor.finding import Examined, Finding, broken, ok, warning
from axon.base import MIB, MICROS_PER_SECOND, SystemClock
from axon.journal import JournalError, JournalNewer, inspect
from axon.projection import read_status

_LAG_WORTH_A_WORD = 10_000
"""A projector applies this many records in a second or two."""

_SILENT_TOO_LONG_S = 10.0
"""It writes its state every second."""


async def check_journals(examined: Examined) -> list[Finding]:
    """Read the headers and marks of every journal of this node."""
    root = examined.folder.journals
    folders = sorted(folder for folder in root.glob("*") if folder.is_dir())
    if not folders:
        return [ok("journal", "none yet")]
    findings = []
    for folder in folders:
        part = f"journal {folder.name}"
        try:
            found = await asyncio.to_thread(inspect, folder)
        except JournalNewer as error:
            findings.append(broken(part, str(error), "Install the version of Axon that wrote it."))
            continue
        except (JournalError, OSError) as error:
            advice = f"Copy the folder, then: axon journal salvage {folder.name}"
            findings.append(broken(part, str(error), advice))
            continue
        lag = found.durable_through - found.projected_through
        size = sum(segment.bytes for segment in found.segments) / MIB
        seen = f"{found.durable_through:,} entries, {size:,.0f} MiB, {lag:,} not in PostgreSQL yet"
        if lag > _LAG_WORTH_A_WORD:
            advice = (
                "Is PostgreSQL up, and the projector? Nothing is lost; the files stay until then."
            )
            findings.append(warning(part, seen, advice))
        elif found.torn_copies:
            seen = f"{seen}; {len(found.torn_copies)} torn tails were cut off after crashes"
            findings.append(ok(part, seen))
        else:
            findings.append(ok(part, seen))
    return findings


async def check_projection(examined: Examined) -> list[Finding]:
    """Read what the projector last said of itself."""
    if examined.running is None:
        return []  # what runs elsewhere is not seen from here
    log_path = examined.folder.logs / "projector.log"
    status = await asyncio.to_thread(read_status, examined.folder.journals)
    age_s = (SystemClock().now_us() - status.at_us) / MICROS_PER_SECOND if status else 0.0
    if status is None or age_s > _SILENT_TOO_LONG_S:
        advice = f"Nothing is lost; the journals keep everything. See {log_path}."
        return [broken("projector", "it says nothing", advice)]
    if status.last_error:
        advice = f"It goes on by itself once that is mended. See {log_path}."
        return [broken("projector", status.last_error, advice)]
    if status.parked:
        advice = f"See {log_path}; axon parked list; once the cause is mended: axon parked replay"
        return [broken("projector", f"{status.parked:,} records could not be applied", advice)]
    return [ok("projector", f"{status.lag_records:,} records behind")]
