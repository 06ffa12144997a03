"""The settings of flags."""

from typing import Annotated

from msgspec import Meta, Struct


class FlagsSettings(Struct, frozen=True, kw_only=True):
    """Flags; see docs/flags.md."""

    folder: Annotated[
        str,
        Meta(
            description="A folder of `.json` files, or one file, in flagd's format. It is watched, "
            "and its flags are changed there alone. Empty: none."
        ),
    ] = ""
