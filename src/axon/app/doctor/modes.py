"""Check of the degraded modes: what the running processes say that they do without."""

from urllib.parse import urlsplit

import msgspec

from axon.app.doctor.finding import Examined, Finding, ok, warning
from axon.app.probe import get

_ADVICE = {
    "postgresql": "Turns go on and are kept in the journal; it is filled in once it is back.",
    "valkey": "Turns go on, a little slower; it is used again by itself.",
    "queue": "The gateways do the workers' work; it is used again by itself.",
    "projector": "Nothing is lost; the journals keep everything until it goes on.",
    "scheduler": "Turns do not need it; what it does is late, and is done once it goes on.",
    "journal-disk": "New turns are refused until it takes writes again: make room, or mend it.",
    "snapshot": "A start without PostgreSQL would not know the API keys: look at the data folder.",
    "clock": "Order and keys do not depend on it; set it once, and let NTP keep it.",
}
_UPSTREAM_ADVICE = "Look at that server; a probe a second finds it when it is back."

_TASK_ADVICE = "Turns go on; nothing of it is lost, and it is tried again by itself."


class _Mode(msgspec.Struct):
    up: bool
    since: str
    reason: str


class _Status(msgspec.Struct):
    dependencies: dict[str, _Mode] = {}


async def check_modes(examined: Examined) -> list[Finding]:
    """Ask a serving process what it does without, since when, and why."""
    if examined.running is None:
        return []  # what runs elsewhere is not seen from here
    address = urlsplit(examined.running.base_url)
    answer = await get(address.hostname or "", address.port or 80, "/status")
    if answer is None:
        return []  # the check of the serving process says so
    try:
        modes = msgspec.json.decode(answer[1], type=_Status).dependencies
    except msgspec.DecodeError:
        return []
    missing = [(name, mode) for name, mode in modes.items() if not mode.up]
    if not missing:
        return [ok("degraded modes", "none")]
    return [
        warning(
            f"without {name}",
            f"since {mode.since}: {mode.reason}",
            _TASK_ADVICE if name.startswith("task ") else _ADVICE.get(name, _UPSTREAM_ADVICE),
        )
        for name, mode in missing
    ]
