"""Check of the archive: that the object store answers, and what it holds."""

from axon.app.archiving import Archiving
from axon.app.doctor.finding import Examined, Finding, broken, ok
from axon.base import MIB, SystemClock, SystemRandomness
from axon.stores import (
    BadAddress,
    ObjectsAway,
    ObjectsRefused,
    Postgres,
    PostgresAway,
    PostgresOptions,
)


async def check_archive(examined: Examined) -> list[Finding]:
    """Look whether cold conversations could be read, and how many there are."""
    if not examined.database_url:
        return []  # said elsewhere
    clock = SystemClock()
    postgres = Postgres(examined.database_url, PostgresOptions(schema_wanted=True), clock)
    await postgres.start()
    try:
        archiving = Archiving.of(examined.settings, postgres, clock, SystemRandomness())
        held = await archiving.sweeping.holdings()
        if held.conversations or archiving.cools:
            await archiving.parts.objects.check()
    except PostgresAway:
        return []  # said elsewhere
    except BadAddress as error:
        return [broken("archive", error.detail, "Set archive.url; see docs/archive.md.")]
    except ObjectsRefused as error:
        return [broken("archive", error.detail, "Check archive.access_key_id and its secret.")]
    except ObjectsAway as error:
        advice = "Archived conversations answer 503 until it is back; all others go on."
        return [broken("archive", error.detail, advice)]
    finally:
        await postgres.stop()
    seen = f"{held.conversations:,} conversations, {held.object_bytes / MIB:,.1f} MiB"
    if not archiving.cools and examined.settings.archive.after_days:
        return [ok("archive", f"{seen}; no more until archive.url names a place all nodes see")]
    return [ok("archive", seen)]
