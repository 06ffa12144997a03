"""Flags for clients that decide in their own process, over flagd's protocol of synchronisation."""

from axon.app.flag_sync.source import FlagSource

__all__ = ["FlagSource"]
