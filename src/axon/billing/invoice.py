"""What an invoice is: lines of what was metered, and where in the journals each comes from."""

from dataclasses import dataclass
from typing import Literal

from axon.billing.money import to_minor

State = Literal["preview", "draft", "final", "void"]

Origin = Literal["usage", "late", "correction"]
"""The month itself; a turn that came too late for its month; a charge that was corrected."""

KINDS = ("input", "cached", "cache_write", "output", "reasoning", "request")
"""What a turn is charged for, in the order of an invoice. Cached and cache-write tokens are part of
a turn's input and reasoning tokens of its output; here each token is counted as one sort."""

OVERAGE = "overage"
"""The kind of a line that sums what turns cost more for going beyond limits that let them, at any
price of a model; its quantity is how many did."""

CORRECTION = "correction"
"""The kind of a line that sums corrections; its quantity is how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where some turns of a line are: in one journal, from one sequence through another."""

    instance: str
    first_sequence: int
    last_sequence: int
    turns: int
    """How many of the records between the two are turns of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One sort of thing, of one model at one price."""

    line: int
    """From 1."""
    origin: Origin
    month: str
    """In which the turns were accepted."""
    model: str
    price_id: str
    tier: int
    """Which tier of the price counted; 0 for none. A line of overage has neither price nor tier."""
    kind: str
    quantity: int
    """Tokens, requests, turns that went beyond a limit, or corrections."""
    rate_nano: int | None
    """Nano-units for a million tokens, or for a request; None where there is no one rate."""
    amount_nano: int
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """Part of an invoice that need not be paid."""

    credit_note_id: str
    number: int
    reference: str
    reason: str
    amount_minor: int
    made_us: int

    @property
    def name(self) -> str:
        """Return the number as it is written on the note."""
        return f"CN-{self.number:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """What an organization is asked to pay for a month, in one currency."""

    invoice_id: str
    """Empty for a preview."""
    number: int | None
    """None until it is final."""
    org_id: str
    org_name: str
    month: str
    time_zone: str
    starts_us: int
    ends_us: int
    """The first instant that no longer counts."""
    currency: str
    state: State
    amount_nano: int
    """The exact sum of the lines."""
    made_us: int
    final_us: int = 0
    voided_us: int = 0
    void_reason: str = ""
    close_id: str = ""
    lines: tuple[Line, ...] = ()
    """Empty in a list of invoices."""
    credit_notes: tuple[CreditNote, ...] = ()

    @property
    def name(self) -> str:
        """Return the number as it is written on the invoice, or the state of one without."""
        return self.state if self.number is None else f"INV-{self.number:06d}"

    @property
    def total_minor(self) -> int:
        """Return what is asked for, in minor units: the exact sum, rounded once."""
        return to_minor(self.amount_nano, self.currency)

    @property
    def credited_minor(self) -> int:
        """Return how much of it was credited."""
        return sum(note.amount_minor for note in self.credit_notes)

    @property
    def owed_minor(self) -> int:
        """Return what is left to pay; nothing of an invoice that is void."""
        return 0 if self.state == "void" else self.total_minor - self.credited_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledTurn:
    """A turn or a correction of one, as a line of an invoice counts it."""

    turn_id: str
    user: int
    instance: str
    sequence: int
    accepted_us: int
    quantity: int
    cost_nano: int
    """What the whole turn was charged, of which a line of one kind is a part; on a line of overage
    the turn's overage alone, and on one of corrections its correction."""
