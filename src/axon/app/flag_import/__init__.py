"""Flags of other vendors as definitions of ours; what cannot be kept is told, with its place."""

from axon.app.flag_import.importing import (
    VENDORS,
    FlagFileUnusable,
    Imported,
    import_flags,
)

__all__ = ["VENDORS", "FlagFileUnusable", "Imported", "import_flags"]
