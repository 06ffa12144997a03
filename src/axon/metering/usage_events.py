"""What a turn consumed and cost as a CloudEvent (spec 1.0, structured JSON), for other systems."""

import asyncpg
import msgspec

from axon.base import utc_from_us

TURN_TYPE = "axon.usage.turn.v1"
CORRECTION_TYPE = "axon.usage.correction.v1"

TURN_COLUMNS = """user_id, turn_id, org_id, credential_id, model, variant, upstream, surface,
    status, accepted_us, input_tokens, cached_tokens, cache_write_tokens, output_tokens,
    reasoning_tokens, estimated, price_id, currency, cost_nano, instance, sequence"""

CORRECTION_COLUMNS = """user_id, turn_id, number, currency, org_id, accepted_us, price_id,
    cost_nano, corrected_us, place"""


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event, ready to be sent."""

    event_id: str
    """The same whenever the same turn or correction is sent: receivers dedupe by it."""
    org_id: str
    body: bytes
    """The CloudEvent as JSON."""


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the record that ended the turn stands."""

    instance: str
    sequence: int


class _TurnData(msgspec.Struct, frozen=True, kw_only=True):
    turn_id: str
    user: str
    """A number of 64 bits in hexadecimal: JavaScript's are too short for it."""
    credential_id: str
    model: str
    variant: str
    upstream: str
    surface: str
    status: str
    accepted_at: str
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    estimated: bool
    price_id: str
    currency: str
    cost_nano: int
    """10^-9 of the currency."""
    journal: _Place


class _CorrectionData(msgspec.Struct, frozen=True, kw_only=True):
    turn_id: str
    number: int
    user: str
    accepted_at: str
    price_id: str
    currency: str
    cost_nano: int
    """What it adds to the cost of the turn; below zero when it takes something away."""


class _CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    specversion: str = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str = "application/json"
    data: _TurnData | _CorrectionData


_encoder = msgspec.json.Encoder()


def turn_event(row: asyncpg.Record, source: str) -> UsageEvent:
    """Return the event of a turn, from a row of TURN_COLUMNS; its time is the turn's acceptance."""
    accepted_at = _instant(row["accepted_us"])
    data = _TurnData(
        user=f"{row['user_id']:016x}",
        accepted_at=accepted_at,
        journal=_Place(instance=row["instance"], sequence=row["sequence"]),
        **{
            name: row[name]
            for name in _TurnData.__struct_fields__
            if name not in ("user", "accepted_at", "journal")
        },
    )
    event = _CloudEvent(
        id=row["turn_id"],
        source=source,
        type=TURN_TYPE,
        subject=row["org_id"],
        time=accepted_at,
        data=data,
    )
    return UsageEvent(event_id=event.id, org_id=row["org_id"], body=_encoder.encode(event))


def correction_event(row: asyncpg.Record, source: str) -> UsageEvent:
    """Return the event of a correction, from a row of CORRECTION_COLUMNS."""
    data = _CorrectionData(
        turn_id=row["turn_id"],
        number=row["number"],
        user=f"{row['user_id']:016x}",
        accepted_at=_instant(row["accepted_us"]),
        price_id=row["price_id"],
        currency=row["currency"],
        cost_nano=row["cost_nano"],
    )
    event = _CloudEvent(
        id=f"{row['turn_id']}/{row['number']}/{row['currency']}",
        source=source,
        type=CORRECTION_TYPE,
        subject=row["org_id"],
        time=_instant(row["corrected_us"]),
        data=data,
    )
    return UsageEvent(event_id=event.id, org_id=row["org_id"], body=_encoder.encode(event))


def _instant(instant_us: int) -> str:
    """Return an instant as RFC 3339 has it."""
    return utc_from_us(instant_us).isoformat(timespec="microseconds").replace("+00:00", "Z")
