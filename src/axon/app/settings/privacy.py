"""The settings of what is hidden from models, by organization."""

from typing import Annotated

from msgspec import Meta, Struct

from axon.app.settings.walk import Mistakes
from axon.privacy import PatternInvalid, Policies, PrivacyPolicy, Redactor, custom_kinds

_PATTERN = {"form": "a regular expression"}
_Patterns = Annotated[
    dict[str, Annotated[str, Meta(min_length=1, max_length=256, extra=_PATTERN)]],
    Meta(
        extra={"form": "a table of regular expressions"},
        description="Patterns of your own, by name, beside the built-in kinds; bounded, without "
        "looking around or back.",
    ),
]


class OrgPrivacySettings(Struct, frozen=True, kw_only=True):
    """What is hidden for one organization, in place of what is set for all."""

    engine_input: Annotated[
        bool, Meta(description="Tell models names in place of values, and restore them.")
    ] = False
    patterns: _Patterns = {}


class PrivacySettings(Struct, frozen=True, kw_only=True):
    """Personal data and secrets that models need not read; see docs/privacy.md."""

    engine_input: Annotated[
        bool,
        Meta(
            description="Tell models names in place of personal data and secrets, and give "
            "answers the values back."
        ),
    ] = False
    patterns: _Patterns = {}
    orgs: Annotated[
        dict[str, OrgPrivacySettings],
        Meta(description="What counts for an organization instead, by its id."),
    ] = {}


def check_privacy(settings: PrivacySettings, mistakes: Mistakes) -> None:
    """Find patterns that cannot be used."""
    found = {"privacy.patterns": settings.patterns}
    found |= {
        f"privacy.orgs.{org_id}.patterns": one.patterns for org_id, one in settings.orgs.items()
    }
    for path, patterns in found.items():
        try:
            custom_kinds(patterns)
        except PatternInvalid as error:
            mistakes.add(path, error.detail)


def policies_of(settings: PrivacySettings) -> Policies:
    """Return the policies of settings that were checked."""
    return Policies(
        _policy(settings), {org_id: _policy(one) for org_id, one in settings.orgs.items()}
    )


def _policy(settings: PrivacySettings | OrgPrivacySettings) -> PrivacyPolicy:
    redactor = Redactor(custom_kinds(settings.patterns))
    return PrivacyPolicy(redactor=redactor, engine_input=settings.engine_input)
