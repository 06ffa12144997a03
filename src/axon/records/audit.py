"""The records of what people thought of an answer, and of who read what others said."""

import msgspec


class FeedbackGiven(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A person judged an answer, judged it anew, or took the judgement back.

    Of two about one answer the later one counts.
    """

    feedback_id: str
    org_id: str
    user: int
    """Whose answer it is; that one's key seals what was written."""
    credential_id: str
    turn_id: str
    at_us: int
    rating: str
    """up, down, or empty for one that only says something."""
    comment: bytes
    """Sealed; empty for none."""
    edited: bytes
    """The answer as it should have been, sealed; empty for none."""
    preferred_over: str
    """The other answer of a pair, that this one is better than; empty for none."""
    withdrawn: bool
    """Then it says nothing else."""


class AccessLogged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Somebody reached for what other people said, or asked to, or decided about it."""

    access_id: str
    org_id: str
    user: int
    """Who did it."""
    credential_id: str
    at_us: int
    action: str
    """read, requested, approved, held, released, exported or erased."""
    subject: int
    """Whose it is; -1 where that is many people."""
    objects: list[str]
    """Turns, a conversation, a request or a hold."""
    reason: str
