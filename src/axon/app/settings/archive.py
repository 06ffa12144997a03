"""The settings of the archive: where conversations nobody touches are kept."""

from typing import Annotated

from msgspec import Meta, Struct

from axon.app.settings.walk import Mistakes

FEED_DAYS = 30
"""How long a person's feed of changes is kept: what is in it has to be in PostgreSQL."""

_PLACE = {"form": "s3://bucket/prefix, gs://bucket/prefix or an absolute path"}
_URL = {"form": "an address like https://host:port"}


class ArchiveSettings(Struct, frozen=True, kw_only=True):
    """Cold conversations in an object store; see docs/archive.md."""

    url: Annotated[
        str,
        Meta(
            pattern="^(s3://.+|gs://.+|/.+)?$",
            extra=_PLACE,
            description="`s3://bucket/prefix`, `gs://bucket/prefix` or an absolute path that every "
            "node sees. Empty: `archive/` in the data folder, where PostgreSQL is embedded too; "
            "with a PostgreSQL of your own nothing is archived until this is set.",
        ),
    ] = ""
    after_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="After how long without a change a conversation goes there, more than 30. "
            "0: none does; those that are there still come back.",
        ),
    ] = 90
    retention_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36_500,
            description="After how long without a change an archived conversation is deleted with "
            "its items, unless held. 0: never.",
        ),
    ] = 0
    grace_days: Annotated[
        int,
        Meta(
            ge=0,
            le=3650,
            description="How long objects stay that nothing refers to any more: as long as backups "
            "of PostgreSQL are kept, which do.",
        ),
    ] = 30
    endpoint: Annotated[
        str,
        Meta(
            pattern="^(https?://.*)?$",
            extra=_URL,
            description="Another server that speaks S3. Empty: Amazon's, or Google's.",
        ),
    ] = ""
    region: Annotated[str, Meta(description="The bucket's, for S3. Empty: us-east-1.")] = ""
    access_key_id: Annotated[
        str, Meta(description="For S3. Empty: what the machine itself has, as its role.")
    ] = ""
    secret_access_key: Annotated[str, Meta(description="Of `access_key_id`.")] = ""
    service_account: Annotated[
        str, Meta(description="A file with a key for GCS. Empty: what the machine itself has.")
    ] = ""


def check_archive(archive: ArchiveSettings, mistakes: Mistakes) -> None:
    """Find settings that are right one by one and contradict something."""
    if 0 < archive.after_days <= FEED_DAYS:
        mistakes.add("archive.after_days", f"must be 0 or more than {FEED_DAYS}")
    if 0 < archive.retention_days <= archive.after_days:
        mistakes.add("archive.retention_days", "must be 0 or more than archive.after_days")
    if bool(archive.access_key_id) != bool(archive.secret_access_key):
        mistakes.add("archive.secret_access_key", "goes with archive.access_key_id")
