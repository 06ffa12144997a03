"""The records of what people thought of an answer, who read what others said, who changed what."""

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
    """read, requested, approved, held, released, exported, erased, trained, training_policy or
    training_consent."""
    subject: int
    """Whose it is; -1 where that is many people."""
    objects: list[str]
    """Turns, a conversation, a request or a hold."""
    reason: str


class TrainingConsent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A person, or an organization, said whether models may be trained on what was said.

    Of two about one person the later one counts.
    """

    org_id: str
    user: int
    """Whose consent it is; -1 for the organization's."""
    consent: str
    """yes or no; of an organization off, opted_in or all."""
    at_us: int


class AdminAction(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that has power or configuration was changed: a key, a user, a limit, a price.

    Of two with one id the later one says nothing new.
    """

    deed_id: str
    org_id: str
    """Whose configuration it is; empty for the whole installation's."""
    at_us: int
    action: str
    """What was done to what, as key.revoked."""
    object: str
    was: str
    """As JSON, without secrets and names of people; empty where there was nothing."""
    became: str
    """Of a change both say only what differs."""
    origin: str
    """api, command, database (a statement that nobody of us made) or axon."""
    name: str
    """Of a command, the account of the operating system."""
    place: str
    """The address of a client, the host of a command."""
    actor_org_id: str
    """Of the key that asked, as the next two; empty, and -1, where none did."""
    user: int
    credential_id: str
