"""The settings of the audit."""

from typing import Annotated

from msgspec import Meta, Struct


class AuditSettings(Struct, frozen=True, kw_only=True):
    """What is kept of turns for auditors, and who may read it."""

    retention_days: Annotated[
        int,
        Meta(
            ge=1,
            le=36_500,
            description="How long turns are kept for auditors, unless held. Whole months (UTC) go,"
            " so up to 31 days longer.",
        ),
    ] = 730
    two_people: Annotated[
        bool,
        Meta(description="Another auditor has to approve before what people said is opened."),
    ] = False
