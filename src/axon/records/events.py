"""The record of outside events: a batch that one request brought, for one organization."""

import msgspec


class OutsideEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event of somebody else's system; organization, source and id are its identity for ever.

    The attributes are those of CloudEvents 1.0.
    """

    source: str
    id: str
    type: str
    subject: str
    time_us: int
    """When it happened; when it was received, for one that does not say."""
    data: bytes
    """A JSON object as it came; empty for none."""
    late: bool = False
    """Whether the month in which it happened was closed when it was received."""


class EventsReceived(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Outside events were accepted, all of a request or none."""

    batch_id: str
    org_id: str
    user: int
    credential_id: str
    received_us: int
    events: list[OutsideEvent]
    """In the order of the request; the first of one identity counts."""
