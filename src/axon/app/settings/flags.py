"""The settings of flags."""

from typing import Annotated

from msgspec import Meta, Struct


def origins_of(text: str) -> frozenset[str]:
    """Return the origins of a list with commas, each as a browser names it."""
    return frozenset(one.strip().rstrip("/") for one in text.split(",") if one.strip())


class FlagsSettings(Struct, frozen=True, kw_only=True):
    """Flags; see docs/flags.md."""

    folder: Annotated[
        str,
        Meta(
            description="A folder of `.json` files, or one file, in flagd's format. It is watched, "
            "and its flags are changed there alone. Empty: none."
        ),
    ] = ""
    origins: Annotated[
        str,
        Meta(
            description="Web pages whose scripts may ask for flags at `/ofrep`, by commas, like "
            "`https://app.example.com`; `*` for all. Empty: none but those of Axon's own address."
        ),
    ] = ""

    def allowed_origins(self) -> frozenset[str]:
        """Return the origins, each as a browser names it."""
        return origins_of(self.origins)
