"""The record of a change of an experiment: what it was, what it is, who did it and why."""

import msgspec


class ExperimentChanged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step in the life of an experiment."""

    change_id: str
    name: str
    version: int
    """Dense from 1 in the life of the experiment. Of two records with one version, that counts
    which PostgreSQL had first; the other was acknowledged to nobody."""
    action: str
    """created, edited, started, widened, stopped or decided."""
    org_id: str
    user: int
    credential_id: str
    at_us: int
    why: str
    before: bytes
    """The experiment as JSON; empty for none."""
    after: bytes
