"""The settings of safety: what is checked before and after engines."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from axon.app.settings.walk import Mistakes
from axon.safety import Level, RuleSet, RulesInvalid, SafetyPolicy

_URL = {"form": "an address like http://host:port/path"}
_Action = Literal["off", "flag", "redact", "block"]


class SafetyLevelSettings(Struct, frozen=True, kw_only=True):
    """One level, by the name that a flag's variant chooses it by."""

    input: Annotated[
        _Action, Meta(description="What is done about what is asked, before an engine is told.")
    ] = "off"
    output: Annotated[
        _Action, Meta(description="What is done about what is said, before it is shown.")
    ] = "off"
    endpoint: Annotated[
        bool, Meta(description="Ask the moderation endpoint as well as the rules.")
    ] = False
    fail: Annotated[
        Literal["open", "closed"],
        Meta(
            description="While the endpoint cannot be asked: go on and say so in the record, or "
            "pass nothing on."
        ),
    ] = "open"


class SafetySettings(Struct, frozen=True, kw_only=True):
    """What is checked before and after engines; see docs/safety.md."""

    level: Annotated[
        str,
        Meta(
            pattern="^([a-z0-9_-]{1,32})?$",
            extra={"form": "a name of a level"},
            description="The level that counts where no flag chooses one. Empty: none.",
        ),
    ] = ""
    levels: Annotated[dict[str, SafetyLevelSettings], Meta(description="The levels, by name.")] = {}
    rules: Annotated[
        str, Meta(description="A file of rules in place of those that come with Axon.")
    ] = ""
    url: Annotated[
        str,
        Meta(
            pattern="^(https?://.*)?$",
            extra=_URL,
            description="The moderation endpoint, of OpenAI's shape, with the path that is posted "
            "to. Empty: none.",
        ),
    ] = ""
    key: Annotated[str, Meta(description="The API key it wants.")] = ""
    model: Annotated[str, Meta(description="The model it is asked for.")] = "omni-moderation-latest"
    timeout_ms: Annotated[int, Meta(ge=1, le=60_000, description="How long it is waited for.")] = (
        2_000
    )


def check_safety(settings: SafetySettings, mistakes: Mistakes) -> None:
    """Find levels that are not there, or that ask an endpoint that is not."""
    if settings.level and settings.level not in settings.levels:
        mistakes.add("safety.level", "names no level of safety.levels")
    for name, level in settings.levels.items():
        if level.endpoint and not settings.url:
            mistakes.add(f"safety.levels.{name}.endpoint", "needs safety.url")
    if settings.levels:
        try:
            RuleSet.read(settings.rules)
        except RulesInvalid as error:
            mistakes.add("safety.rules", error.detail)


def safety_of(settings: SafetySettings) -> SafetyPolicy | None:
    """Return the policy of settings that were checked; None when there is no level. Blocks."""
    if not settings.levels:
        return None
    return SafetyPolicy(
        rules=RuleSet.read(settings.rules),
        levels={
            name: Level(
                input=one.input,
                output=one.output,
                endpoint=one.endpoint,
                fail_closed=one.fail == "closed",
            )
            for name, one in settings.levels.items()
        },
        default=settings.level,
    )
